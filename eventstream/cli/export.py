"""`eventstream export`: the history as CloudEvents, one JSON object a line."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from eventstream.cli.store import config_argument, open_store
from eventstream.components.command import Command
from eventstream.components.store import Record, Store
from eventstream.errors import ConfigError, EventStreamError, Problem, Reject
from eventstream.events.codec import decode_stored, encode
from eventstream.runtime.places import Places

HIDDEN = "eventstreamhidden"  # extension attribute of an exported event that was stored, and not delivered
PAGE = 1000


class Export(Command):
    """Write the stored events in their order, each as a CloudEvent in JSON on a line of its own.

    What was stored and never delivered is written too, marked by the extension attribute
    `eventstreamhidden`, which import takes off again; --delivered leaves it out.
    """

    name = "export"

    def arguments(self, parser: ArgumentParser) -> None:
        """Declare arguments."""
        parser.add_argument("--output", metavar="FILE", help="a new file to write to (default: standard output)")
        parser.add_argument("--after", metavar="CURSOR", help="begin behind this place (default: the earliest)")
        parser.add_argument("--delivered", action="store_true", help="only the events that were delivered")
        config_argument(parser)

    def run(self, arguments: Namespace) -> int:
        """Write up to the head as it stands now; a server may go on publishing meanwhile."""
        with open_store(arguments, read_only=True, readable=True) as store:
            after = _place(store, arguments.after)
            with _output(arguments.output) as file:
                for record in _records(store, after, hidden=not arguments.delivered):
                    file.write(_line(record))
            lost = store.stats().get("unreadable", 0)
        if lost:
            print(f"eventstream: {lost} events do not open: their key is lost, or they were altered", file=sys.stderr)
        return 1 if lost else 0


def _place(store: Store, text: str | None) -> int:
    """Return the offset behind which to begin; raises EventStreamError for a place that is not in this history."""
    if text is None:
        return 0
    try:
        start = Places(store).start(text)
    except Reject as refusal:
        raise EventStreamError(f"--{refusal.detail}") from None
    if start.gap is not None and start.gap.reason == "epoch":
        raise EventStreamError(f"--after {text}: this store's history has no such place")
    if start.gap is not None:
        print(f"eventstream: what lay just behind {text} has expired; the export begins later", file=sys.stderr)
    return start.offset


def _records(store: Store, after: int, *, hidden: bool) -> Iterator[Record]:
    head = store.head()
    while after < head:
        page = store.read(after, PAGE, hidden=hidden)
        for record in page.records:
            if record.offset > head:
                return
            yield record
        after = page.next


def _line(record: Record) -> bytes:
    if record.deliver:
        return record.json + b"\n"
    event = decode_stored(record.json)
    return encode(event.replace(extensions={**event.extensions, HIDDEN: True})) + b"\n"


@contextmanager
def _output(path: str | None) -> Iterator[IO[bytes]]:
    """Open the output. A file appears under its name once it is whole."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(path).absolute()
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.link(partial, target)  # unlike a rename this never replaces a file
        except FileExistsError:
            raise ConfigError([Problem(f"{target} exists already", hint="give --output a new name")]) from None
        except OSError as error:
            raise ConfigError([Problem(f"cannot write {target}: {error.strerror}")]) from None
    finally:
        partial.unlink(missing_ok=True)
