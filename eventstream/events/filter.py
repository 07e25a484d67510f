"""What a subscriber (or a pipeline's `match`) asks for, compiled once and shared by equal askers.

Patterns: per attribute a list of values, each exact or a prefix with a trailing `*`; one of the
list must match, for every attribute named. Dialects: the CloudEvents Subscriptions filters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from eventstream.errors import FilterError
from eventstream.events import strict_json
from eventstream.events.event import ATTRIBUTE_NAME, AttributeValue

MAX_VALUES = 100  # values and expressions in one filter
MAX_DIALECT_DEPTH = 8
_LIFTED = frozenset({"exact", "prefix"})
INDEXED = ("subject", "source", "type")  # most selective first


class Attributes(Protocol):
    """Anything whose attributes can be looked up by name: an event, a stored record."""

    def get(self, name: str) -> AttributeValue | None:
        """Return the attribute's value, or None when it is not set."""


Predicate = Callable[[Attributes], bool]


class Selector(NamedTuple):
    """A condition on one attribute that every match fulfils: one of these values or prefixes."""

    attribute: str
    exact: frozenset[str]
    prefixes: tuple[str, ...]

    def matches(self, value: AttributeValue | None) -> bool:
        """Judge the attribute's value."""
        if value is None:
            return False
        text = as_text(value)
        return text in self.exact or (bool(self.prefixes) and text.startswith(self.prefixes))


class Filter:
    """A compiled filter. Two filters with the same `key` match the same events."""

    __slots__ = ("_rest", "expressions", "key", "selectors")

    def __init__(self, patterns: Mapping[str, Sequence[str]] | None = None, expressions: Sequence[Any] = ()) -> None:
        """Compile patterns and dialect expressions; raises FilterError with a pointer."""
        wanted = {name: sorted(set(values)) for name, values in (patterns or {}).items() if values}
        if sum(len(values) for values in wanted.values()) > MAX_VALUES:
            raise FilterError(f"more than {MAX_VALUES} values in one filter")
        counter = _Budget(MAX_VALUES)
        compiled = [(one, _compile(one, f"/filter/{i}", 1, counter)) for i, one in enumerate(expressions)]
        self.selectors = tuple(_selector(name, values) for name, values in sorted(wanted.items()))
        self.selectors += tuple(_selectors_of(expressions))
        self._rest: tuple[Predicate, ...] = tuple(judge for one, judge in compiled if not _LIFTED.intersection(one))
        self.expressions = tuple(expressions)
        self.key = strict_json.canonical([wanted, list(expressions)]).decode()

    def matches(self, attributes: Attributes) -> bool:
        """Tell whether every condition holds."""
        for selector in self.selectors:
            if not selector.matches(attributes.get(selector.attribute)):
                return False
        return all(predicate(attributes) for predicate in self._rest)

    @property
    def opaque(self) -> bool:
        """Whether `selectors` do not say all that it asks for."""
        return bool(self._rest)

    @property
    def index(self) -> Selector | None:
        """The most selective condition that an index over exact and prefix values can serve."""
        for name in INDEXED:
            for selector in self.selectors:
                if selector.attribute == name and "" not in selector.prefixes:
                    return selector
        return None

    def __repr__(self) -> str:
        """Show the canonical form."""
        return f"Filter({self.key})"


def parse_filter(parameters: Mapping[str, Sequence[str]]) -> Filter:
    """Build a filter from query parameters `type`, `source`, `subject` and `filter` (JSON)."""
    expressions: list[Any] = []
    for text in parameters.get("filter", ()):
        try:
            value = strict_json.decode(text.encode("utf-8", "surrogatepass"), max_depth=2 * MAX_DIALECT_DEPTH)
        except strict_json.JsonError as error:
            raise FilterError(f"filter is not JSON: {error}", "filter") from None
        expressions += value if isinstance(value, list) else [value]
    patterns = {name: parameters.get(name, ()) for name in ("type", "source", "subject")}
    for name, values in patterns.items():
        if "" in values:
            raise FilterError(f"{name} must not be empty", name)
    return Filter(patterns, expressions)


def as_text(value: AttributeValue) -> str:
    """Return an attribute's canonical string (CloudEvents 3.1): `true`, `42`, or the text."""
    if isinstance(value, str):
        return value
    return str(value).lower()


def _selector(name: str, values: Iterable[str]) -> Selector:
    exact = frozenset(value for value in values if not value.endswith("*"))
    prefixes = tuple(value[:-1] for value in values if value.endswith("*"))
    return Selector(name, exact, prefixes)


def _selectors_of(expressions: Sequence[Any]) -> Iterable[Selector]:
    """Lift top-level exact and prefix expressions: a selector says all that they say."""
    for expression in expressions:
        for dialect, body in expression.items():
            if dialect in _LIFTED:
                for name, value in body.items():
                    exact = frozenset([value]) if dialect == "exact" else frozenset()
                    yield Selector(name, exact, (value,) if dialect == "prefix" else ())


class _Budget:
    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, pointer: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise FilterError(f"more than {MAX_VALUES} expressions in one filter", pointer)


def _compile(expression: Any, pointer: str, depth: int, budget: _Budget) -> Predicate:
    if depth > MAX_DIALECT_DEPTH:
        raise FilterError(f"filters nested deeper than {MAX_DIALECT_DEPTH} levels", pointer)
    if not isinstance(expression, dict) or len(expression) != 1:
        raise FilterError("a filter is an object with one key, its dialect", pointer)
    budget.spend(pointer)
    ((dialect, body),) = expression.items()
    pointer = f"{pointer}/{dialect}"
    if dialect in _COMPARISONS:
        return _comparison(_COMPARISONS[dialect], body, pointer, budget)
    if dialect == "not":
        inner = _compile(body, pointer, depth + 1, budget)
        return lambda attributes: not inner(attributes)
    if dialect in ("all", "any"):
        if not isinstance(body, list) or not body:
            raise FilterError(f"{dialect} takes a list of at least one filter", pointer)
        parts = [_compile(one, f"{pointer}/{i}", depth + 1, budget) for i, one in enumerate(body)]
        judge = all if dialect == "all" else any
        return lambda attributes: judge(part(attributes) for part in parts)
    raise FilterError(f"dialect {dialect!r} is not supported: exact, prefix, suffix, all, any, not", pointer)


_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "exact": str.__eq__,
    "prefix": str.startswith,
    "suffix": str.endswith,
}


def _comparison(compare: Callable[[str, str], bool], body: Any, pointer: str, budget: _Budget) -> Predicate:
    if not isinstance(body, dict) or not body:
        raise FilterError("takes an object of attribute names and strings", pointer)
    for name, value in body.items():
        budget.spend(pointer)
        if not ATTRIBUTE_NAME.match(name) or name == "data":
            raise FilterError(f"{name!r} is no attribute name", pointer)
        if not isinstance(value, str) or not value:
            raise FilterError(f"{name} takes a non-empty string", f"{pointer}/{name}")
    wanted = tuple(body.items())

    def predicate(attributes: Attributes) -> bool:
        for name, value in wanted:
            found = attributes.get(name)
            if found is None or not compare(as_text(found), value):
                return False
        return True

    return predicate


EVERYTHING = Filter()
