"""One schema: judged by itself when it is loaded, then a judge of data."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any
from urllib.parse import urljoin

import jsonschema
import jsonschema_rs
import msgspec
from jsonschema_specifications import REGISTRY as METASCHEMAS  # type: ignore[import-untyped]  # it ships no types
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable

from eventstream import Fault
from eventstream_plugins.validate.dialects import (
    COMPILERS,
    DEFAULT_DRAFT,
    DRAFTS,
    LINEAR,
    METASCHEMA_IDS,
    SchemaError,
    draft_of,
    is_format,
    is_linear,
)
from eventstream_plugins.validate.faults import compiled_faults, fault, pointer
from eventstream_plugins.validate.folder import Folder

MAX_FAULTS = 20
MAX_EXPLAINED = 64 * 1024  # bytes of data up to which jsonschema explains; larger is left to the compiled judge
MAX_WALKED = 10_000  # subschemas of one schema, references followed


class Schema:
    """One schema, judged when it is loaded, with its two judges."""

    def __init__(self, folder: Folder, name: str) -> None:
        """Load the file `name`; raises SchemaError when it, or what it refers to, cannot be used."""
        self.warnings: list[str] = []
        self._folder = folder
        self._uri = folder.uri(name)
        root = folder.load(name)
        self._draft = draft_of(root, DRAFTS[DEFAULT_DRAFT])
        self._used: dict[str, Any] = {}  # every file in use by its URI
        self._explained = True  # by jsonschema
        self._take(self._uri, root)
        self._walk()
        self._compile()

    def is_valid(self, data: Any) -> bool:
        """Give the compiled judge's verdict."""
        verdict: bool = self._compiled.is_valid(data)
        return verdict

    def faults(self, data: Any) -> list[Fault]:
        """Say why data is refused: at least one fault, at most MAX_FAULTS; none holds the data's values."""
        faults: list[Fault] = []
        if self._explained and len(msgspec.json.encode(data)) <= MAX_EXPLAINED:
            try:
                errors = islice(self._explainer.iter_errors(data), MAX_FAULTS)
                faults = [fault(error.absolute_path, error.validator, error.validator_value) for error in errors]
            except (RecursionError, Unresolvable):
                faults = []  # a schema that refers to itself without end, or by an `$id` of its own making
        if not faults:
            faults = list(islice(compiled_faults(self._compiled.iter_errors(data)), MAX_FAULTS))
        return faults or [Fault("does not fit the schema", pointer="/data")]

    def _take(self, uri: str, schema: Any) -> Resource[Any]:
        """Judge a file's schema by its metaschema and keep it."""
        try:
            # No formats here: `regex` would be Python's. Patterns are judged in the walk.
            self._draft.explain.check_schema(schema, format_checker=jsonschema.FormatChecker(formats=()))
        except jsonschema.SchemaError as error:
            place = pointer(error.absolute_path) or "its top"
            raise SchemaError(f"is no valid schema at {place}: {error.message[:200]}") from None
        except RecursionError:
            raise SchemaError("is nested too deeply") from None
        self._used[uri] = schema
        return self._draft.specification.create_resource(schema)

    def _retrieve(self, uri: str) -> Resource[Any]:
        return METASCHEMAS[uri] if uri in METASCHEMAS else self._take(uri, self._folder.find(uri))

    def _walk(self) -> None:
        """Visit every subschema and all it refers to, and judge what a metaschema cannot."""
        specification = self._draft.specification
        registry: Registry[Any] = Registry(retrieve=self._retrieve)  # type: ignore[call-arg]  # an alias of attrs
        root = specification.create_resource(self._used[self._uri])
        start = registry.with_resource(self._uri, root).resolver(base_uri=self._uri)
        waiting, seen = [(root, start.in_subresource(root))], {}  # `seen` keeps what it knows by id alive
        while waiting:
            resource, resolver = waiting.pop()
            contents = resource.contents
            if id(contents) in seen or not self._judge(contents):
                continue
            seen[id(contents)] = contents
            if len(seen) > MAX_WALKED:
                raise SchemaError(f"has more than {MAX_WALKED} subschemas")
            waiting += [(one, resolver.in_subresource(one)) for one in resource.subresources()]
            for reference in _references(contents):
                found = _look_up(resolver, reference)
                target = specification.create_resource(found.contents)
                # A relative `$id` is in the resolver's base already.
                absolute = ":" in (target.id() or "")
                waiting.append((target, found.resolver.in_subresource(target) if absolute else found.resolver))

    def _judge(self, contents: Any) -> bool:
        """Judge one subschema itself, without those in it; tell whether to go into it."""
        if not isinstance(contents, dict):
            return False
        if draft_of(contents, self._draft) is not self._draft:
            raise SchemaError(f"refers to another dialect, {contents['$schema']}: a schema and its parts share one")
        if id(contents) in METASCHEMA_IDS:
            return False
        # jsonschema would leave its extended class at a `$schema`; ours is known.
        contents.pop("$schema", None)
        patterns = contents.get("patternProperties")
        for pattern in [contents.get("pattern"), *(patterns if isinstance(patterns, dict) else ())]:
            if isinstance(pattern, str) and not is_linear(self._draft.number, pattern):
                raise SchemaError(f"pattern {pattern!r} does not compile: no lookaround, no backreference")
        # jsonschema's time for these grows with the square of the data.
        self._explained &= not {"unevaluatedItems", "unevaluatedProperties"} & contents.keys()
        name = contents.get("format")
        if isinstance(name, str) and not is_format(name):
            self.warnings.append(f"format {name!r} is not known and not checked")
        return True

    def _compile(self) -> None:
        number, used = self._draft.number, self._used
        try:
            registry = jsonschema_rs.Registry(list(used.items()), draft=self._draft.registry, retriever=_deny)
            self._compiled = COMPILERS[number](
                used[self._uri], base_uri=self._uri, registry=registry, pattern_options=LINEAR,
                validate_formats=True, offline=True,
            )  # fmt: skip
        except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
            raise SchemaError(f"does not compile: {str(error).partition(chr(10))[0][:200]}") from None
        resources = [(uri, self._draft.specification.create_resource(schema)) for uri, schema in used.items()]
        known = METASCHEMAS.with_resources(resources).crawl()
        place = urljoin(self._uri, resources[0][1].id() or "")  # an `$id` is what relative references start from
        self._explainer = self._draft.explain({"$ref": place}, registry=known)


def _deny(uri: str) -> Any:
    raise ValueError(f"{uri} is not in the schema's folder")


def _references(contents: Mapping[str, Any]) -> Iterator[str]:
    for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
        reference = contents.get(keyword)
        if isinstance(reference, str):
            yield reference


def _look_up(resolver: Any, reference: str) -> Any:
    try:
        return resolver.lookup(reference)
    except Unresolvable as error:
        cause = error.__cause__.__cause__ if error.__cause__ else None  # what `_retrieve` raised
        reason = str(cause) if isinstance(cause, SchemaError) else "points at nothing"
        raise SchemaError(f"$ref {reference!r}: {reason}") from None
