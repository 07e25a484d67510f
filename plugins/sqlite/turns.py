"""Those who come while others are being served share the next turn.

The first that finds nobody leading leads: it takes what has queued, and serves it. Before it wakes the others it makes
the first of those still queued the next leader, also when it fails or is killed: nobody waits for a dead one.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from eventstream import StoreBusy

PATIENCE = 10.0  # seconds to wait for a turn to end, which another process may hold up
LOOKS = 10  # in that time, for those who have waited for too long

One = TypeVar("One")


class _Turn(Generic[One]):
    """One in the queue. It is woken when it is done, or is to lead (`leads`)."""

    __slots__ = ("error", "leads", "one", "woken")

    def __init__(self, one: One) -> None:
        self.one = one
        self.error: str | None = None
        self.leads = False
        self.woken = threading.Event()


class Turns(Generic[One]):
    """A queue in front of something that serves many as cheaply as one."""

    def __init__(
        self,
        name: str,
        serve: Callable[[list[One]], Any],
        *,
        fitting: Callable[[Iterable[One]], int],
        gather: Callable[[], None] = lambda: None,
    ) -> None:
        """`name` is told in errors. `fitting` says how many of the first ones one call of `serve` takes: at least one.

        `gather` is called before a leader takes them: it lets those come who are about to.
        """
        self._name = name
        self._serve = serve
        self._fitting = fitting
        self._gather = gather
        self._lock = threading.Lock()
        self._queue: deque[_Turn[One]] = deque()
        self._waiting: dict[_Turn[One], float] = {}  # since when, oldest first
        self._leading = False
        self._since = 0.0  # when the turn under way began
        self._idle = threading.Event()
        self._idle.set()
        self._closed = threading.Event()
        self._watcher: threading.Thread | None = None

    def take(self, one: One) -> Any:
        """Be served; return what `serve` returned if we led, else None. Raises StoreBusy, or what it raised to us."""
        turn = _Turn(one)
        result = None
        try:
            if self._join(turn) or self._wait(turn):
                result = self._lead()
        except BaseException:
            self._abandon(turn)
            raise
        if turn.error is not None:
            raise StoreBusy(turn.error)
        return result

    def close(self) -> None:
        """Refuse who comes, and wait for the turn under way."""
        with self._lock:
            self._closed.set()
        self._idle.wait(PATIENCE)
        for turn in list(self._waiting):
            self._send_away(turn)

    def _join(self, turn: _Turn[One]) -> bool:
        """Queue up; True when nobody leads and we are to."""
        with self._lock:
            if self._closed.is_set():
                raise StoreBusy(f"{self._name} is closed")
            stuck = time.monotonic() - self._since if self._leading else 0.0
            if stuck > PATIENCE:
                raise StoreBusy(f"{self._name}: a commit takes {stuck:.0f} s already")
            self._queue.append(turn)
            turn.leads = not self._leading
            if turn.leads:
                self._leading = True
                self._since = time.monotonic()
                self._idle.clear()
            return turn.leads

    def _wait(self, turn: _Turn[One]) -> bool:
        """Wait to be done; True when it is ours to lead instead."""
        if self._watcher is None:
            self._start_watcher()
        self._waiting[turn] = time.monotonic()
        try:
            turn.woken.wait()  # no timeout: a timer for each would cost more than all the rest
        finally:
            del self._waiting[turn]
        return turn.leads

    def _start_watcher(self) -> None:
        with self._lock:
            if self._watcher is None:  # still: another thread may have been faster
                self._watcher = threading.Thread(target=self._watch, name="eventstream-turns", daemon=True)
                self._watcher.start()

    def _watch(self) -> None:
        """Send away who has waited for too long."""
        while not self._closed.wait(PATIENCE / LOOKS):
            overdue = time.monotonic() - PATIENCE
            for turn, since in list(self._waiting.items()):
                if since > overdue:
                    break
                self._send_away(turn)

    def _send_away(self, turn: _Turn[One]) -> None:
        with self._lock:
            if turn.leads:
                return  # it has its turn
            if turn in self._queue:
                self._queue.remove(turn)
        turn.error = f"{self._name}: no commit within {PATIENCE:.0f} s"
        turn.woken.set()

    def _lead(self) -> Any:
        self._gather()
        with self._lock:
            self._since = time.monotonic()
            count = self._fitting(turn.one for turn in self._queue)
            batch = [self._queue.popleft() for _ in range(count)]
        error: str | None = f"{self._name}: the commit was interrupted"
        try:
            result = self._serve([turn.one for turn in batch])
            error = None
        except StoreBusy as trouble:
            error = str(trouble)
            return None
        finally:
            self._hand_over()
            for turn in batch:
                turn.error = error
                turn.woken.set()
        return result

    def _hand_over(self) -> None:
        with self._lock:
            self._leading = bool(self._queue)
            if self._leading:
                self._since = time.monotonic()
                self._queue[0].leads = True
                self._queue[0].woken.set()
            else:
                self._idle.set()

    def _abandon(self, turn: _Turn[One]) -> None:
        """Leave the queue, killed; pass on a lead that was ours."""
        with self._lock:
            queued = turn in self._queue
            if queued:
                self._queue.remove(turn)
        if queued and turn.leads:
            self._hand_over()
