"""Patterns over event attributes, as pipelines match by them and grants allow by them."""

from __future__ import annotations

from typing import Any

from eventstream.config.draft import Draft, nearest
from eventstream.config.loader import Path
from eventstream.errors import FilterError
from eventstream.events.event import ATTRIBUTE_NAME, RESERVED_NAMES
from eventstream.events.filter import Filter


def read_patterns(draft: Draft, value: Any, path: Path) -> Filter | None:
    """Read a mapping of attributes to a pattern or a list of them; None once its faults are in the draft."""
    if not isinstance(value, dict):
        example = f'for example {path[-1] if isinstance(path[-1], str) else "-"}: {{type: "shop.order.*"}}'
        draft.error(path, f"{_name(path)}: expected a mapping of attributes", example)
        return None
    patterns: dict[str, list[str]] = {}
    faults = draft.faults
    for name, given in value.items():
        if not ATTRIBUTE_NAME.match(name) or name in RESERVED_NAMES:
            hint = nearest(name, ("type", "source", "subject"), "attributes such as")
            draft.error((*path, name), f"{name} is no attribute name", hint, key=True)
        patterns[name] = given if isinstance(given, list) else [given]
        for index, pattern in enumerate(patterns[name]):
            place = (*path, name, index) if isinstance(given, list) else (*path, name)
            _judge_pattern(draft, pattern, place)
    if draft.faults > faults:
        return None
    try:
        return Filter(patterns)
    except FilterError as error:
        draft.error(path, str(error))
        return None


def _name(path: Path) -> str:
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def _judge_pattern(draft: Draft, pattern: Any, path: Path) -> None:
    if not isinstance(pattern, str) or not pattern:
        draft.error(path, "a pattern is text that is not empty", "put it in quotes")
    elif "*" in pattern[:-1]:
        draft.error(path, f"{pattern!r}: only a trailing * is a wildcard", "a list of patterns matches any of them")
