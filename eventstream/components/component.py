"""What every component shares: a name, a typed configuration, a life."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from eventstream.components.key import Keys
    from eventstream.components.keyring import Keyring
    from eventstream.components.ledger import Ledger
    from eventstream.components.store import Store
    from eventstream.errors import Problem

Meta = msgspec.Meta


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a component's typed configuration.

    Each field is declared once: `rate: Annotated[Rate, Meta(description="…", examples=["100/s"])]`.
    That declaration parses the YAML, judges it in `eventstream check` with line and column, and
    writes the reference page and the editor's schema. Raise ValueError in `__post_init__` for what
    types cannot say; a message that starts with `field: ` is placed at that field. A field without
    a default is required.
    """


class NoConfig(Config, frozen=True):
    """A component without options."""


class Services(Protocol):
    """What a component may use of the node that runs it; handed to `open`."""

    store: Store
    ledger: Ledger
    keys: Keys
    keyring: Keyring | None
    folder: str  # folder of the configuration file; relative paths start here
    workers: int

    def offload(self, call: Callable[[], Any]) -> Any:
        """Run a blocking native call (fsync, a large cipher) off the event loop and return its result."""

    def pause(self) -> None:
        """Let others run. Call it every 2 ms or so in a long loop."""

    def now(self) -> float:
        """Return wall time in Unix seconds."""

    def count(self, what: str, amount: float = 1) -> None:
        """Count something for the metric `eventstream_counts_total{what="…"}`; `what` is one of a few fixed words."""


class Component:
    """Anything a plugin adds by name. Subclass Step, Store, Output, Route, … instead."""

    name: ClassVar[str]
    Config: ClassVar[Any] = NoConfig  # a Config subclass, or any type msgspec can convert to
    examples: ClassVar[list[Any]] = []  # configurations as written in YAML; each must pass `check`
    config: Any

    def __init__(self, config: Any = None) -> None:
        """Keep the converted configuration; do no I/O here: `check` builds components too."""
        self.config = self.Config() if config is None else config

    def check(self, folder: str, keys: Keys) -> Iterable[str | Problem]:
        """Return what is wrong beyond types: a missing file, an unknown key. Opens nothing for longer.

        `folder` is the configuration file's: relative paths start there. A Problem's pointer starts at
        this component's own options: `/schema`. A problem of severity `warning` does not stop the start.
        """
        return ()

    def open(self, services: Services) -> None:
        """Take files, threads and connections; called once in each worker, after the fork."""

    def close(self) -> None:
        """Give back what `open` took; may be called more than once."""

    @classmethod
    def create(cls, value: Any = None) -> Self:
        """Build from a configuration as written in YAML; raises msgspec.ValidationError."""
        return cls(None if value is None and cls.Config is NoConfig else convert(value or {}, cls.Config))


class Duration(float):
    """Seconds, written `250ms`, `15s`, `5m`, `1h`, `7d` or as a bare number of seconds."""

    _units: ClassVar[dict[str, float]] = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
    pattern: ClassVar[str] = r"^\d+(\.\d+)?(ms|s|m|h|d)$"

    @classmethod
    def parse(cls, text: str | float) -> Duration:
        """Read a duration; raises ValueError that shows a right one."""
        return cls(_quantity(text, cls._units, "a duration such as 250ms, 15s, 5m, 1h or 7d"))

    def written(self) -> str:
        """Return it as one writes it: `15s`."""
        return _written(self, self._units, "s")


class Size(int):
    """Bytes, written `64KiB`, `1MiB`, `1GiB`, `10kB`, `5MB` or as a bare number of bytes."""

    _units: ClassVar[dict[str, float]] = {
        "B": 1, "kB": 1000, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30,
    }  # fmt: skip
    pattern: ClassVar[str] = r"^\d+(\.\d+)?(B|kB|MB|GB|KiB|MiB|GiB)$"

    @classmethod
    def parse(cls, text: str | float) -> Size:
        """Read a size; raises ValueError that shows a right one."""
        return cls(int(_quantity(text, cls._units, "a size such as 64KiB, 1MiB or 10MB")))

    def written(self) -> str:
        """Return it as one writes it: `1MiB`."""
        return _written(self, self._units, "B")


class Rate(float):
    """Events a second, written `100/s`, `30/m`, `1000/h`."""

    _units: ClassVar[dict[str, float]] = {"/s": 1, "/m": 1 / 60, "/h": 1 / 3600}
    pattern: ClassVar[str] = r"^\d+(\.\d+)?/(s|m|h)$"

    @classmethod
    def parse(cls, text: str | float) -> Rate:
        """Read a rate; raises ValueError that shows a right one."""
        rate = cls(_quantity(text, cls._units, "a rate such as 100/s, 30/m or 1000/h"))
        if rate <= 0:
            raise ValueError("a rate is greater than 0")
        return rate

    def written(self) -> str:
        """Return it as one writes it: `100/s`."""
        return _written(self, self._units, "/s")


def _quantity(value: str | float, units: dict[str, float], wanted: str) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"expected {wanted}")  # noqa: TRY004  # the documented error of every `parse`
    if isinstance(value, int | float):
        if value < 0:
            raise ValueError(f"{value} is negative: expected {wanted}")
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z/]*)", value)
    if match is None or (match[2] and match[2] not in units):
        raise ValueError(f"{value!r} is not {wanted}")
    return float(match[1]) * units.get(match[2], 1)


def _written(value: float, units: dict[str, float], base: str) -> str:
    """Write a quantity in the largest unit that leaves a whole number, else in the base unit."""
    for unit, factor in sorted(units.items(), key=lambda pair: -pair[1]):
        count = round(value / factor, 9)
        if count >= 1 and count == int(count):
            return f"{int(count)}{unit}"
    return f"{float(value):g}{base}"


def convert(value: Any, target: Any) -> Any:
    """Convert a YAML value to a configuration type; raises msgspec.ValidationError with its path.

    A type of your own takes part by a class method `parse(value)` that raises ValueError, and a
    `pattern` (a regular expression) for the editor's schema.
    """
    return msgspec.convert(value, target, dec_hook=_decode)


def _decode(target: type, value: Any) -> Any:
    parse = getattr(target, "parse", None)
    if parse is None:
        raise NotImplementedError(f"no conversion to {target}")
    return parse(value)
