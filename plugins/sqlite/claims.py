"""Claims that arrive while others are being written share the next transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from .facts import Claim, Facts
from .turns import Turns

MAX_CLAIMS = 1000  # in one transaction


class _Asked(Claim):
    """A claim, and when it was asked for."""

    __slots__ = ("now",)

    def __init__(self, key: str, now: float, ttl: float) -> None:
        super().__init__(key, now + ttl)
        self.now = now


class Claims:
    """The one queue of a process for its claims."""

    def __init__(self, facts: Facts, offload: Callable[[Callable[[], Any]], Any], pause: Callable[[], None]) -> None:
        """Write to `facts`, in native threads; `pause` lets those come who are about to."""
        self._facts = facts
        self._offload = offload
        self._turns = Turns(f"ledger {facts.path}", self._write, fitting=_fitting, gather=pause)

    def claim(self, key: str, now: float, ttl: float) -> bool:
        """Claim a key; False when somebody holds it. Raises StoreBusy."""
        mine = _Asked(key, now, ttl)
        self._turns.take(mine)
        return mine.granted

    def close(self) -> None:
        """Refuse what comes, and wait for what is under way."""
        self._turns.close()

    def _write(self, batch: list[_Asked]) -> None:
        self._offload(lambda: self._facts.claim(batch, batch[0].now))


def _fitting(claims: Iterable[_Asked]) -> int:
    return sum(1 for _ in islice(claims, MAX_CLAIMS))
