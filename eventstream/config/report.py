"""Problems as text for people, JSON for programs, and workflow commands for GitHub."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from eventstream.errors import Problem

FORMATS = ("text", "json", "github")


def render_problems(problems: Sequence[Problem], form: str) -> str:
    """Return the problems in one of FORMATS; ends with a newline unless it is empty."""
    if form == "json":
        return (
            json.dumps({"ok": not errors_in(problems), "problems": [asdict(one) for one in problems]}, indent=2) + "\n"
        )
    lines = [_github(one) if form == "github" else str(one) for one in problems]
    return "".join(f"{line}\n" for line in lines)


def errors_in(problems: Sequence[Problem]) -> int:
    """Return how many of the problems stop the start."""
    return sum(one.severity == "error" for one in problems)


def count(problems: Sequence[Problem]) -> str:
    """Return how many there are: `2 errors, 1 warning`."""
    errors = errors_in(problems)
    numbers = [(errors, "error"), (len(problems) - errors, "warning")]
    return ", ".join(f"{number} {word}{'' if number == 1 else 's'}" for number, word in numbers if number)


def _github(problem: Problem) -> str:
    """Write one workflow command; its values are escaped as GitHub's own toolkit does."""
    place = {"file": problem.file, "line": problem.line, "col": problem.column, "title": problem.pointer}
    properties = ",".join(f"{name}={_property(str(value))}" for name, value in place.items() if value)
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"::{problem.severity} {properties}::{_data(problem.message + hint)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
