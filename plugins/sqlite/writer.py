"""Group commit: appends that arrive while one is being written share the next.

The first that finds nobody writing leads: it takes what has queued, runs one native call, and hands
out the outcomes. Before it wakes the others it makes the first of those still queued the next leader,
also when it fails or is killed: nobody waits for a dead one.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from eventstream import Entry, StoreBusy

from . import commit
from .session import Sessions

MAX_ROWS = 4096  # per commit, unless a single request has more
MAX_BYTES = 16 * 2**20
PATIENCE = 10.0  # seconds to wait for a commit, which another process may hold up


class _Waiting(commit.Request):
    """A request in the queue. `turn` is set when it is done, or is to lead (`leads`)."""

    __slots__ = ("error", "leads", "turn")

    def __init__(self, entries: Sequence[Entry], *, atomic: bool) -> None:
        super().__init__(entries, atomic=atomic)
        self.error: str | None = None
        self.leads = False
        self.turn = threading.Event()


class Writer:
    """The one queue of a process into the database."""

    def __init__(
        self,
        sessions: Sessions,
        offload: Callable[[Callable[[], Any]], Any],
        now: Callable[[], float],
        *,
        chained: bool,
    ) -> None:
        """Write through `sessions`, in native threads, stamping events with `now`; see `commit` for `chained`."""
        self._sessions = sessions
        self._offload = offload
        self._now = now
        self._chained = chained
        self._lock = threading.Lock()
        self._queue: deque[_Waiting] = deque()
        self._leading = False
        self._idle = threading.Event()
        self._idle.set()
        self._since = 0.0  # when the commit under way began
        self._closed = False
        self.commits = 0
        self.commit_seconds = 0.0
        self.slowest_commit = 0.0

    def append(self, entries: Sequence[Entry], *, atomic: bool) -> tuple[commit.Request, int]:
        """Write the entries; return the request with its outcomes, and the head if we led, else 0."""
        request = _Waiting(entries, atomic=atomic)
        head = 0
        try:
            if self._join(request) or self._wait(request):
                head = self._lead()
        except BaseException:
            self._abandon(request)
            raise
        if request.error is not None:
            raise StoreBusy(request.error)
        return request, head

    def close(self) -> None:
        """Refuse what comes, and wait for what is under way."""
        with self._lock:
            self._closed = True
        self._idle.wait(PATIENCE)
        self._sessions.close()

    def _join(self, request: _Waiting) -> bool:
        """Queue up; True when nobody leads and we are to."""
        with self._lock:
            if self._closed:
                raise StoreBusy(f"sqlite store {self._sessions.path} is closed")
            stuck = time.monotonic() - self._since if self._leading else 0.0
            if stuck > PATIENCE:
                raise StoreBusy(f"sqlite store {self._sessions.path}: a commit takes {stuck:.0f} s already")
            self._queue.append(request)
            request.leads = not self._leading
            self._leading = True
            self._idle.clear()
            return request.leads

    def _wait(self, request: _Waiting) -> bool:
        """Wait to be done; True when it is ours to lead instead."""
        if request.turn.wait(PATIENCE):
            return request.leads
        raise StoreBusy(f"sqlite store {self._sessions.path}: no commit within {PATIENCE:.0f} s")

    def _lead(self) -> int:
        batch = self._take()
        started = time.monotonic()
        error: str | None = f"sqlite store {self._sessions.path}: the commit was interrupted"
        try:
            head: int = self._offload(lambda: self._commit(batch, started + PATIENCE))
            error = None
        except StoreBusy as trouble:
            error = str(trouble)
            return 0
        finally:
            self._hand_over()
            self._measure(time.monotonic() - started)
            for request in batch:
                request.error = error
                request.turn.set()
        return head

    def _take(self) -> list[_Waiting]:
        with self._lock:
            self._since = time.monotonic()
            batch = [self._queue.popleft()]
            rows, size = len(batch[0].entries), batch[0].size
            while self._queue:
                following = self._queue[0]
                rows, size = rows + len(following.entries), size + following.size
                if rows > MAX_ROWS or size > MAX_BYTES:
                    break
                batch.append(self._queue.popleft())
            return batch

    def _commit(self, batch: Sequence[_Waiting], deadline: float) -> int:
        with self._sessions.transaction("append", deadline) as session:
            return commit.write(session, batch, int(self._now() * 1e6), chained=self._chained)

    def _hand_over(self) -> None:
        with self._lock:
            self._leading = bool(self._queue)
            if self._leading:
                self._since = time.monotonic()
                self._queue[0].leads = True
                self._queue[0].turn.set()
            else:
                self._idle.set()

    def _abandon(self, request: _Waiting) -> None:
        """Leave the queue, killed or out of patience; pass on a lead that was ours."""
        with self._lock:
            queued = request in self._queue
            if queued:
                self._queue.remove(request)
        if queued and request.leads:
            self._hand_over()

    def _measure(self, seconds: float) -> None:
        self.commits += 1
        self.commit_seconds += seconds
        self.slowest_commit = max(self.slowest_commit, seconds)
