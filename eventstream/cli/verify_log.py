"""`eventstream verify-log`: tell whether the stored events are as they were written."""

from __future__ import annotations

import json
import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import Any

from eventstream.cli.check import DEFAULT_FILE
from eventstream.cli.store import open_store
from eventstream.components.chain import ChainMark
from eventstream.components.command import Command
from eventstream.errors import EventStreamError
from eventstream.runtime.places import Places
from eventstream.runtime.verify import Verdict, verify

_EVERY = 50_000  # events between two signs of progress


class VerifyLog(Command):
    """Walk the hash chain of the stored events, and name the first place that is not as it was written.

    Reads only, also while the server runs. Exit 0 when every event behind the chain's anchor is in the
    chain and as it was written, and the hash of --head was found; else 1.
    """

    name = "verify-log"

    def arguments(self, parser: ArgumentParser) -> None:
        """Declare arguments."""
        text = f"configuration whose store is meant (default: {DEFAULT_FILE})"
        parser.add_argument("config", nargs="?", default=DEFAULT_FILE, metavar="FILE", help=text)
        text = "a head noted earlier, in hex: it must be found, else the end was cut off or the history rewritten"
        parser.add_argument("--head", metavar="HASH", help=text)
        parser.add_argument("--json", action="store_true", help="one JSON object instead of text")

    def run(self, arguments: Namespace) -> int:
        """Walk, and report on standard output; progress goes to a terminal on standard error."""
        wanted = None if arguments.head is None else _hash(arguments.head)
        with open_store(arguments, read_only=True) as store:
            progress = _Progress()
            try:
                verdict = verify(store, wanted, progress)
            finally:
                progress.end()
            report = _report(verdict, Places(store), arguments.head)
        print(json.dumps(report) if arguments.json else "\n".join(_lines(report)))
        return 0 if report["ok"] else 1


class _Progress:
    """One line on a terminal; nothing anywhere else."""

    def __init__(self) -> None:
        self._shown = 0

    def __call__(self, place: int, head: int) -> None:
        if sys.stderr.isatty() and place >= self._shown + _EVERY:
            self._shown = place
            print(f"\r{place:,} of {head:,}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Clear the line."""
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _hash(text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise EventStreamError(f"--head takes the 64 hexadecimal digits of a hash, not {text!r}")
    return bytes.fromhex(text)


def _report(verdict: Verdict, places: Places, head: str | None) -> dict[str, Any]:
    def place(offset: int) -> dict[str, Any]:
        return {"offset": offset, "cursor": places.text(offset)}

    def mark(one: ChainMark) -> dict[str, Any]:
        return place(one.offset) | {"hash": one.hash.hex()}

    damage, found = verdict.damage, verdict.found
    return {
        "ok": damage is None and not verdict.outside and (head is None or found is not None),
        "verified": verdict.verified,
        "anchor": mark(verdict.anchor),
        "reached": mark(verdict.reached),
        "older": verdict.older,
        "outside": {"count": verdict.outside, "first": place(verdict.first_outside)} if verdict.outside else None,
        "given": {"hash": head, "found": None if found is None else place(found)} if head else None,
        "damage": place(damage.offset) | {"kind": damage.kind, "detail": damage.detail} if damage else None,
    }


def _lines(report: dict[str, Any]) -> Iterator[str]:
    anchor, reached, damage, outside, given = (
        report[name] for name in ("anchor", "reached", "damage", "outside", "given")
    )
    yield f"verified: {report['verified']} events behind {anchor['cursor']}, up to {reached['cursor']}"
    if report["older"]:
        yield f"older: {report['older']} events up to {anchor['cursor']} are from before the chain began"
    if outside:
        yield f"outside: {outside['count']} events are not in the chain, the first is {outside['first']['cursor']}"
    if damage:
        yield f"{damage['kind']}: {damage['cursor']}: {damage['detail']}"
    if given:
        yield _given(given, report)
    if not damage:
        yield f"head: {reached['hash']}"


def _given(given: dict[str, Any], report: dict[str, Any]) -> str:
    if given["found"]:
        behind = report["reached"]["offset"] - given["found"]["offset"]
        return f"given head: found at {given['found']['cursor']}, {behind} before the end"
    if report["damage"]:
        return "given head: not found before the damage"
    return (
        f"given head: not found behind {report['anchor']['cursor']}: "
        "the end was cut off, the history was rewritten, or retention removed it"
    )
