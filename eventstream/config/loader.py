"""YAML text to plain values, with the place of every value, and YAML's traps closed.

Only the core of YAML 1.2 is read: `true` and `false` are the booleans (`yes`, `no`, `on`, `off` stay
text), dates stay text, keys are text and stand once, tags and merge keys are refused, and aliases
cannot expand beyond a bound.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Literal, NamedTuple

import yaml

from eventstream.errors import ConfigError, Problem

MAX_TEXT = 2**20  # characters; PyYAML reads roughly 100 KB a second
MAX_NODES = 10_000  # values, counted after aliases are expanded
MAX_DEPTH = 64

Path = tuple[str | int, ...]


class Place(NamedTuple):
    """Where something stands in the file, both 1-based."""

    line: int
    column: int


@dataclass
class Document:
    """A parsed file: plain values, where each stands, and what was wrong with the YAML itself."""

    file: str
    value: Any = None
    places: dict[Path, Place] = field(default_factory=dict)  # of values
    keys: dict[Path, Place] = field(default_factory=dict)  # of the keys that name them
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Return where a value (or with `key`, its key) stands, or its nearest known container."""
        while True:
            found = (self.keys.get(path) if key else None) or self.places.get(path) or self.keys.get(path)
            if found is not None:
                return found
            if not path:
                return Place(1, 1)
            path, key = path[:-1], True

    def problem(
        self,
        path: Path,
        message: str,
        hint: str = "",
        *,
        key: bool = False,
        severity: Literal["error", "warning"] = "error",
    ) -> Problem:
        """Make a problem that is placed at `path`."""
        line, column = self.place(path, key=key)
        return Problem(message, pointer(path), hint, self.file, line, column, severity)


def pointer(path: Path) -> str:
    """Return a path as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def read_text(file: str) -> str:
    """Read a configuration file; raises ConfigError when it cannot be read."""
    try:
        return FilePath(file).read_bytes().decode()
    except OSError as error:
        hint = "name the file: eventstream COMMAND FILE" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError([Problem(f"cannot read the configuration: {error.strerror}", hint=hint, file=file)]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError([Problem("the file is not UTF-8", file=file, line=line, column=1)]) from None


def parse(text: str, file: str) -> Document:
    """Parse YAML. Faults that leave nothing to read raise ConfigError, all others are in `problems`."""
    document = Document(file)
    if len(text) > MAX_TEXT:
        raise ConfigError([Problem(f"the configuration is longer than {MAX_TEXT} characters", file=file)])
    try:
        root = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_problem(error, file, text)]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        problem = Problem(f"character U+{ord(text[error.position]):04X} is not allowed", file=file, line=line)
        raise ConfigError([_at(problem, column)]) from None
    if root is not None:
        document.value = _Builder(document).build(root, ())
    return document


def _at(problem: Problem, column: int) -> Problem:
    return Problem(problem.message, problem.pointer, problem.hint, problem.file, problem.line, column)


def _syntax_problem(error: yaml.MarkedYAMLError, file: str, text: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    message = ", ".join(str(part) for part in (error.context, error.problem) if part)
    if mark is None:
        return Problem(f"not YAML: {message}", file=file)
    hint = "indent with spaces" if "'\\t'" in message else ""
    lines = text.splitlines()
    if mark.line < len(lines) and "${" in lines[mark.line]:
        hint = 'between { } or [ ] an interpolation stands in quotes: "${env:NAME}"'
    return Problem(f"not YAML: {message}", "", hint, file, mark.line + 1, mark.column + 1)


class _Loader(yaml.SafeLoader):
    """YAML 1.2 core: few scalars are anything but text. Nesting is bounded before Python recurses."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  # PyYAML's own class attribute, filled below
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose one node, at most MAX_DEPTH deep."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            problem = f"nested deeper than {MAX_DEPTH} levels"
            raise yaml.composer.ComposerError(None, None, problem, self.peek_event().start_mark)  # type: ignore[no-untyped-call]  # PyYAML's stubs
        try:
            node: yaml.Node | None = super().compose_node(parent, index)
        finally:
            self._depth -= 1
        return node


_CORE = "tag:yaml.org,2002:"
_SCALARS: list[tuple[str, str, str]] = [
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+", "-+.0123456789"),
]
for _name, _pattern, _first in _SCALARS:
    _starts: list[str] = [*_first, ""] if _name == "null" else [*_first]
    _Loader.add_implicit_resolver(_CORE + _name, re.compile(rf"(?:{_pattern})\Z"), _starts)


def _read_null(text: str) -> None:
    if text.lower() not in ("", "~", "null"):
        raise ValueError


def _read_bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"


def _read_int(text: str) -> int:
    return int(text, 0) if text.startswith(("0o", "0x")) else int(text)


def _read_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


_READ: dict[str, Callable[[str], Any]] = {
    "str": str,
    "null": _read_null,
    "bool": _read_bool,
    "int": _read_int,
    "float": _read_float,
}


class _Builder:
    """Builds plain values from nodes and notes each one's place."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._count = 0
        self._open: set[int] = set()  # nodes being built: an alias to one of them contains itself

    def build(self, node: yaml.Node, path: Path) -> Any:
        self._document.places[path] = _place(node)
        self._count += 1
        if self._count > MAX_NODES:
            if self._count == MAX_NODES + 1:
                self._add(node, path, f"more than {MAX_NODES} values, aliases expanded", "write fewer aliases")
            return None
        if id(node) in self._open:
            self._add(node, path, "an alias contains itself")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._scalar(node, path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != _CORE + "str":
                self._add(key_node, path, "keys are text", "put the key in quotes")
                continue
            where = (*path, key)
            if key == "<<":
                self._add(key_node, where, "merge keys are not supported", "write the fields out")
            elif key in mapping:
                first = self._document.keys[where]
                self._add(key_node, where, f"duplicate key {key}", f"it stands first in line {first.line}")
            elif "${" in key:
                self._add(key_node, where, "interpolation works in values only, never in keys")
            else:
                self._document.keys[where] = _place(key_node)
                mapping[key] = self.build(value_node, where)
        return mapping

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        kind = node.tag.removeprefix(_CORE)
        if kind not in _READ:
            self._add(node, path, f"tag {node.tag} is not supported", "leave the tag out")
            return None
        try:
            return _READ[kind](node.value)
        except ValueError:  # an explicit tag on other text, a number that is too long or too large
            self._add(node, path, f"not a value of type {kind} that can be kept")
            return None

    def _add(self, node: yaml.Node, path: Path, message: str, hint: str = "") -> None:
        line, column = _place(node)
        self._document.problems.append(Problem(message, pointer(path), hint, self._document.file, line, column))


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)
