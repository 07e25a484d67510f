"""Structured fields (RFC 9651), read so that no field can be read in two ways."""

import re
from typing import Any

import http_sf

from eventstream_plugins.verify.trust import read_base64, refusal

Members = dict[str, tuple[Any, dict[str, Any]]]

# One member, without anything that could be written in two ways; whatever else there is goes to the library.
_KEY, _STRING = r"[a-z*][a-z0-9_.*-]*", r'"[ !#-\[\]-~]*"'
_ONE_SEQUENCE = re.compile(rf"({_KEY})=:([A-Za-z0-9+/]+={{0,2}}):\Z")
_ONE_LIST = re.compile(rf"({_KEY})=\(((?:{_STRING}(?: {_STRING})*)?)\)((?:;{_KEY}=(?:-?[0-9]{{1,15}}|{_STRING}))*)\Z")
_PARAMETER = re.compile(rf";({_KEY})=(?:(-?[0-9]+)|({_STRING}))")


def read_dictionary(name: str, text: str, longest: int) -> Members:
    """Read a structured field (RFC 9651) without doubled keys; each member is a value and its parameters."""
    if len(text) > longest:
        raise refusal(f"{name} is longer than {longest} characters")
    plain = _as_most_write_it(text)
    if plain is not None:
        return plain
    doubled: list[str] = []
    try:
        found = http_sf.parse(
            text.encode("ascii"), tltype="dictionary", on_duplicate_key=lambda key, context: doubled.append(key)
        )
    except (http_sf.StructuredFieldError, UnicodeEncodeError):
        raise refusal(f"{name} is no structured dictionary") from None
    if doubled:
        raise refusal(f"{name} says something twice")
    return found  # type: ignore[return-value]  # a dictionary is what was asked for


def _as_most_write_it(text: str) -> Members | None:
    """Read the simplest spelling at a third of the library's cost; None for all others."""
    sequence = _ONE_SEQUENCE.match(text)
    if sequence is not None:
        raw = read_base64(sequence[2])
        return None if raw is None else {sequence[1]: (raw, {})}
    inner = _ONE_LIST.match(text)
    if inner is None:
        return None
    given = _PARAMETER.findall(inner[3])
    parameters = {name: int(number) if number else string[1:-1] for name, number, string in given}
    if len(parameters) != len(given):
        return None
    names: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in inner[2][1:-1].split('" "')] if inner[2] else []
    return {inner[1]: (names, parameters)}
