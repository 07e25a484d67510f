"""Claims that arrive while others are being written share the next transaction.

The first that finds nobody writing leads: it takes all that have queued, runs one native call, and hands out the
outcomes. It makes the first of those that came meanwhile the next leader, also when it fails or is killed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from eventstream import StoreBusy

from .facts import Claim, Facts

MAX_CLAIMS = 1000  # in one transaction
PATIENCE = 10.0  # seconds to wait for a transaction, which another process may hold up


class _Waiting(Claim):
    """A claim in the queue. `turn` is set when it is done, or is to lead (`leads`)."""

    __slots__ = ("error", "leads", "turn")

    def __init__(self, key: str, expires: float) -> None:
        super().__init__(key, expires)
        self.error: str | None = None
        self.leads = False
        self.turn = threading.Event()


class Claims:
    """The one queue of a process for its claims."""

    def __init__(self, facts: Facts, offload: Callable[[Callable[[], Any]], Any], pause: Callable[[], None]) -> None:
        """Write to `facts`, in native threads; `pause` lets those come who are about to."""
        self._facts = facts
        self._offload = offload
        self._pause = pause
        self._lock = threading.Lock()
        self._queue: list[_Waiting] = []
        self._leading = False

    def claim(self, key: str, now: float, ttl: float) -> bool:
        """Claim a key; False when somebody holds it. Raises StoreBusy."""
        mine = _Waiting(key, now + ttl)
        try:
            if self._join(mine) or self._wait(mine):
                self._lead(now)
        except BaseException:
            self._abandon(mine)
            raise
        if mine.error is not None:
            raise StoreBusy(mine.error)
        return mine.granted

    def _join(self, mine: _Waiting) -> bool:
        with self._lock:
            self._queue.append(mine)
            mine.leads, self._leading = not self._leading, True
            return mine.leads

    def _wait(self, mine: _Waiting) -> bool:
        if mine.turn.wait(PATIENCE):
            return mine.leads
        raise StoreBusy(f"ledger {self._facts.path}: no claim within {PATIENCE:.0f} s")

    def _lead(self, now: float) -> None:
        self._pause()
        with self._lock:
            batch, self._queue = self._queue[:MAX_CLAIMS], self._queue[MAX_CLAIMS:]
        error: str | None = f"ledger {self._facts.path}: a claim was interrupted"
        try:
            self._offload(lambda: self._facts.claim(batch, now))
            error = None
        except StoreBusy as trouble:
            error = str(trouble)
        finally:
            self._hand_over()
            for one in batch:
                one.error = error
                one.leads = False
                one.turn.set()

    def _hand_over(self) -> None:
        with self._lock:
            self._leading = bool(self._queue)
            if self._leading:
                self._queue[0].leads = True
                self._queue[0].turn.set()

    def _abandon(self, mine: _Waiting) -> None:
        """Leave the queue, killed or out of patience; pass on a lead that was ours."""
        with self._lock:
            queued = mine in self._queue
            if queued:
                self._queue.remove(mine)
        if queued and mine.leads:
            self._hand_over()
