"""A configuration while it is being judged: its problems, with their places and without its secrets."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal

from eventstream.config.interpolate import Source
from eventstream.config.loader import Document, Path
from eventstream.errors import Problem

_SHORTEST_SECRET = 6  # a shorter text is replaced only at its own place: "1" stands in any message


class Draft:
    """Collects every problem of one document."""

    def __init__(self, document: Document, sources: dict[Path, Source], broken: set[Path]) -> None:
        """Start with the problems that reading the document found."""
        self.document = document
        self.sources = sources
        self.problems = list(document.problems)
        self.options: dict[Path, str] = {}  # values from the command line: path -> option
        self._broken = broken
        self._secrets: set[str] = set()
        self.faults = len(self.problems)

    def hide(self, text: str) -> None:
        """Keep this text, a key, out of every problem from now on."""
        self._secrets.add(text)

    def error(self, path: Path, message: str, hint: str = "", *, key: bool = False) -> None:
        """Add a fault at a value (or with `key`, at its key)."""
        self._add(path, message, hint, key=key, severity="error")

    def warn(self, path: Path, message: str, hint: str = "", *, key: bool = False) -> None:
        """Add a warning: the server starts all the same."""
        self._add(path, message, hint, key=key, severity="warning")

    def _add(self, path: Path, message: str, hint: str, *, key: bool, severity: Literal["error", "warning"]) -> None:
        if severity == "error":
            self.faults += 1
        if path in self._broken:
            return
        own = None if key else path
        message, hint = self._redact(message, path, own), self._redact(hint, path, own)
        if path in self.options:
            self.problems.append(Problem(f"{self.options[path]}: {message}", hint=hint, severity=severity))
        else:
            self.problems.append(self.document.problem(path, message, hint, key=key, severity=severity))

    def _redact(self, text: str, path: Path, own: Path | None) -> str:
        """Replace values from outside the file by how they are written in it, and keys by a word.

        A value is only looked for in problems at its own place, around it or inside it: it may be
        any common word, which stands in other problems by right.
        """
        hidden = {secret: "(secret)" for secret in self._secrets if len(secret) >= _SHORTEST_SECRET}
        for place, source in self.sources.items():
            near = place[: len(path)] == path or path[: len(place)] == place
            if source.outside and near and (place == own or len(source.value) >= _SHORTEST_SECRET):
                hidden[source.value] = source.written
        for secret in sorted(filter(None, hidden), key=len, reverse=True):
            for form in {secret, repr(secret)[1:-1]}:
                text = text.replace(form, hidden[secret])
        return text

    def sorted(self) -> list[Problem]:
        """Return all problems in the file's order, each once."""
        return sorted(dict.fromkeys(self.problems), key=lambda one: (one.line, one.column, one.severity))


def nearest(word: str, words: Iterable[str], what: str) -> str:
    """Return a hint: the nearest right word, or all of them."""
    known = sorted(words)
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"{what}: {', '.join(known) or 'none'}"
