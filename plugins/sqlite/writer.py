"""Group commit: appends that arrive while one is being written share the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from eventstream import Entry, Record

from . import commit, turns
from .native import Commits

MAX_ROWS = 4096  # per commit, unless a single request has more
MAX_BYTES = 16 * 2**20
Echo = Callable[[int, int, Callable[[], list[Record]]], None]


class Writer:
    """The one queue of a process into the database."""

    def __init__(
        self,
        path: str,
        commits: Commits,
        offload: Callable[[Callable[[], Any]], Any],
        now: Callable[[], float],
    ) -> None:
        """Write to the file at `path` by `commits`, in native threads, stamping events with `now`."""
        self.echo: Echo | None = None  # called with each commit, before anybody is told of it
        self.commits = 0
        self.commit_seconds = 0.0
        self.slowest_commit = 0.0
        self._commits = commits
        self._offload = offload
        self._now = now
        self._turns = turns.Turns(f"sqlite store {path}", self._commit, fitting=_fitting)

    def append(self, entries: Sequence[Entry], *, atomic: bool) -> tuple[commit.Request, int]:
        """Write the entries; return the request with its outcomes, and the head if we led, else 0."""
        request = commit.Request(entries, atomic=atomic)
        return request, self._turns.take(request) or 0

    def close(self) -> None:
        """Refuse what comes, and wait for what is under way."""
        self._turns.close()
        self._commits.close()

    def _commit(self, batch: list[commit.Request]) -> int:
        started = time.monotonic()
        received = int(self._now() * 1e6)
        try:
            head: int = self._offload(partial(self._commits.write, batch, received, started + turns.PATIENCE))
        finally:
            self._measure(time.monotonic() - started)
        if head and self.echo is not None:
            self.echo(head - commit.count_new(batch), head, partial(commit.records, batch, received))
        return head

    def _measure(self, seconds: float) -> None:
        self.commits += 1
        self.commit_seconds += seconds
        self.slowest_commit = max(self.slowest_commit, seconds)


def _fitting(requests: Iterable[commit.Request]) -> int:
    count = rows = size = 0
    for request in requests:
        rows, size = rows + len(request.entries), size + request.size
        if count and (rows > MAX_ROWS or size > MAX_BYTES):
            break
        count += 1
    return count
