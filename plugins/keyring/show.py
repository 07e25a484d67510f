"""Keys as the command prints them, for people and for programs. Never a private half."""

import json
import math
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from eventstream import Duration, Key

from .make import Made
from .texts import public_text

_COLUMNS = ("kid", "owner", "kind", "purpose", "state", "created", "expires")


def describe(key: Key, now: float) -> dict[str, Any]:
    """Return all that may be shown of a key. `lapse` says why it does not count now, or is None."""
    return {
        "kid": key.kid,
        "owner": key.owner,
        "kind": key.kind,
        "purpose": key.purpose,
        "state": key.state,
        "lapse": key.lapse(now),
        "created": _time(key.created),
        "not_before": _time(key.not_before) if key.not_before else None,
        "expires": _time(key.expires) if math.isfinite(key.expires) else None,
        "public": public_text(key),
    }


def print_keys(keys: Iterable[Key], now: float, *, as_json: bool) -> None:
    """Print a list of keys."""
    rows = [describe(key, now) for key in keys]
    if as_json:
        _print_json(rows)
        return
    table = [_COLUMNS, *([_cell(row, name) for name in _COLUMNS] for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(_COLUMNS))]
    for row in table:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")


def print_key(key: Key, now: float, *, as_json: bool) -> None:
    """Print all about one key."""
    row = describe(key, now)
    if as_json:
        _print_json(row)
        return
    for name in (*_COLUMNS, "not_before", "public"):
        sys.stdout.write(f"{name:<10}  {_cell(row, name)}\n")


def print_made(made: Sequence[Made], now: float, retired: Sequence[Key] = (), *, as_json: bool) -> None:
    """Print new keys, each API key's text with them, and those that they replace."""
    if as_json:
        rows = [describe(one.key, now) | ({"key": one.token} if one.token else {}) for one in made]
        _print_json({"new": rows, "retiring": [describe(key, now) for key in retired]} if retired else rows[0])
        return
    print_keys([*(one.key for one in made), *retired], now, as_json=False)
    for one in made:
        if one.token:
            sys.stdout.write(f"{one.token}\n")
            sys.stdout.flush()  # before the remark, also where both go to one file
            sys.stderr.write("eventstream: this is the API key, shown only now: it is not kept\n")


def _cell(row: dict[str, Any], name: str) -> str:
    if name == "state":
        return str(row["lapse"] or row["state"]).replace("_", " ")
    return str(row[name] or ("never" if name == "expires" else "-"))


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str | None, now: float) -> float | None:
    """Read a time, or a duration from now on, as Unix seconds; raises ValueError that shows right ones."""
    if text is None:
        return None
    try:
        return now + Duration.parse(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time such as 2027-01-31T12:00:00Z, and no duration such as 90d") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
