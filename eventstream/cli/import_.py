"""`eventstream import`: CloudEvents from a file, one JSON object a line, into the store."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO

from eventstream.cli.export import HIDDEN
from eventstream.cli.store import config_argument, open_store
from eventstream.components.command import Command
from eventstream.components.store import Conflict, Entry, Receipt, Store
from eventstream.errors import ConfigError, EventStreamError, Problem, Reject
from eventstream.events import strict_json
from eventstream.events.codec import encode, from_mapping

BATCH = 500  # events in one commit
MAX_LINE = 64 * 2**20  # bytes
MAX_DEPTH = 512  # as deep as a server can be set to accept


class Import(Command):
    """Append CloudEvents to the store as new events, in the file's order, also while a server serves it.

    They are taken as they are: no pipeline runs. What the store holds already is not stored again.
    Subscribers get them, except with --quiet. A line that is no valid event stops the import there;
    after it is mended the same file may be imported again.
    """

    name = "import"

    def arguments(self, parser: ArgumentParser) -> None:
        """Declare arguments."""
        parser.add_argument("file", metavar="FILE", help="one JSON CloudEvent a line; - for standard input")
        parser.add_argument("--quiet", action="store_true", help="store the events without delivering them")
        config_argument(parser)

    def run(self, arguments: Namespace) -> int:
        """Import; exit 1 at the first line that cannot be imported."""
        with _input(arguments.file) as file, open_store(arguments, read_only=False, readable=True) as store:
            importer = _Importer(store)
            try:
                for number, entry in _entries(file, quiet=arguments.quiet):
                    importer.add(number, entry)
                importer.flush()
            except _BadLineError as error:
                importer.flush_before(error)
                print(f"eventstream: {arguments.file}: {error}", file=sys.stderr)
                return 1
            finally:
                print(f"{importer.new} events imported, {importer.repeated} were there already", file=sys.stderr)
        return 0


class _BadLineError(EventStreamError):
    """A line that cannot be imported."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"line {number}: {reason}")


class _Importer:
    """Appends in batches, and stops exactly before an event that cannot be appended."""

    def __init__(self, store: Store) -> None:
        self.new = self.repeated = 0
        self._store = store
        self._waiting: list[tuple[int, Entry]] = []

    def add(self, number: int, entry: Entry) -> None:
        self._waiting.append((number, entry))
        if len(self._waiting) >= BATCH:
            self.flush()

    def flush_before(self, error: _BadLineError) -> None:
        """Append what came before a bad line; a fault in there comes first, and is told instead."""
        try:
            self.flush()
        except _BadLineError as earlier:
            raise earlier from error

    def flush(self) -> None:
        batch, self._waiting = self._waiting, []
        conflict = 0
        while True:
            results = self._store.append([entry for _, entry in batch])
            taken = next((place for place, result in enumerate(results) if isinstance(result, Conflict)), None)
            if taken is None:
                break
            conflict, batch = batch[taken][0], batch[:taken]  # nothing was appended: do it for those before
        repeated = sum(isinstance(result, Receipt) and result.duplicate for result in results)
        self.repeated += repeated
        self.new += len(results) - repeated
        if conflict:
            raise _BadLineError(conflict, "the store holds other content under this id and source")


def _input(name: str) -> AbstractContextManager[IO[bytes]]:
    if name == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise ConfigError([Problem(f"cannot read {name}: {error.strerror}")]) from None


def _entries(file: IO[bytes], *, quiet: bool) -> Iterator[tuple[int, Entry]]:
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise _BadLineError(number, f"longer than {MAX_LINE} bytes")
        if line.strip():
            try:
                yield number, _entry(line, quiet=quiet)
            except strict_json.JsonError as error:
                raise _BadLineError(number, f"not JSON: {error}") from None
            except Reject as refusal:
                faults = "; ".join(fault.detail for fault in refusal.faults)
                raise _BadLineError(number, faults or refusal.detail) from None


def _entry(line: bytes, *, quiet: bool) -> Entry:
    fields = strict_json.decode(line.rstrip(b"\r\n"), max_depth=MAX_DEPTH)
    hidden = isinstance(fields, dict) and fields.pop(HIDDEN, False) is True
    event, fingerprint, _ = from_mapping(fields)
    deliver = not (quiet or hidden)
    return Entry(event.id, event.source, event.type, event.subject, fingerprint, encode(event), deliver)
