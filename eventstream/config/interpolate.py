"""`${env:NAME}`, `${env:NAME:-default}` and `${file:path}` in text values, and nowhere else.

Interpolation runs on parsed values: never on keys, comments or structure, and what it puts in is
never parsed again, so a value cannot add fields or further interpolations. `$${` writes a plain `${`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from eventstream.config.loader import Document, Path

MAX_FILE = 65_536  # bytes of an interpolated file

_EXPRESSION = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_ENVIRONMENT = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?\Z", re.DOTALL)


class Source(NamedTuple):
    """A text that interpolation made: how it is written in the file, and what it became."""

    written: str
    value: str
    outside: bool  # some of it came from the environment or a file: never show it


class _ExpressionError(Exception):
    """An expression that cannot be replaced: what is wrong, and a hint."""


class Interpolation:
    """Replaces every expression of a document, and remembers which values it made."""

    def __init__(self, document: Document, folder: str, environ: Mapping[str, str]) -> None:
        """Paths of files start at `folder`, the configuration's own."""
        self.sources: dict[Path, Source] = {}
        self.broken: set[Path] = set()  # values already reported: no second problem for one cause
        self._document = document
        self._folder = FilePath(folder)
        self._environ = environ

    def run(self) -> Any:
        """Return the document's value with all expressions replaced; faults join its problems."""
        return self._walk(self._document.value, ())

    def _walk(self, value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return {key: self._walk(one, (*path, key)) for key, one in value.items()}
        if isinstance(value, list):
            return [self._walk(one, (*path, index)) for index, one in enumerate(value)]
        if isinstance(value, str) and "${" in value:
            return self._text(value, path)
        return value

    def _text(self, text: str, path: Path) -> str:
        outside = False

        def replace(match: re.Match[str]) -> str:
            nonlocal outside
            if match[0] == "$${":
                return "${"
            try:
                value, foreign = self._value(match, path)
            except _ExpressionError as fault:
                message, hint = fault.args
                self._document.problems.append(self._document.problem(path, message, hint))
                self.broken.add(path)
                return ""
            outside = outside or foreign
            return value

        value = _EXPRESSION.sub(replace, text)
        if value != text.replace("$${", "${"):
            self.sources[path] = Source(text, value, outside)
        return value

    def _value(self, match: re.Match[str], path: Path) -> tuple[str, bool]:
        expression = match[1]
        if not match[0].endswith("}"):
            raise _ExpressionError(f"{match[0][:40]} has no closing brace", "write $${ for a plain ${")
        if expression.startswith("file:"):
            return self._file(expression.removeprefix("file:")), True
        found = _ENVIRONMENT.match(expression)
        if found is None:
            wanted = f"${{env:{expression}}}" if re.fullmatch(r"[A-Za-z_]\w*", expression) else "${env:NAME}"
            raise _ExpressionError(
                f"{match[0]} is no interpolation",
                f"write {wanted}, ${{env:NAME:-default}} or ${{file:path}}; $${{ for a plain ${{",
            )
        name, default = found[1], found[2]
        value = self._environ.get(name)
        if default is not None:  # as in a shell, `:-` also stands in for an empty variable
            return (value, True) if value else (default, False)
        if value is None:
            hint = f"set it, or write ${{env:{name}:-default}}"
            if path[:1] == ("keys",):  # a default would be a key in the file
                hint = "set it before the start"
            raise _ExpressionError(f"environment variable {name} is not set", hint)
        return value, True

    def _file(self, name: str) -> str:
        path = self._folder / name
        try:
            with path.open("rb") as file:
                body = file.read(MAX_FILE + 1)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            reason = error.strerror if isinstance(error, OSError) else error
            raise _ExpressionError(
                f"cannot read file {name}: {reason}", f"paths start at the configuration's folder, {self._folder}"
            ) from None
        if len(body) > MAX_FILE:
            raise _ExpressionError(f"file {name} is longer than {MAX_FILE} bytes", "it should hold one value")
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise _ExpressionError(f"file {name} is not UTF-8 text", "keys are kept as base64 text") from None
        return text.removesuffix("\n").removesuffix("\r")
