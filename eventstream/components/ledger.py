"""The ledger: small shared facts with an expiry, atomic across all workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple


class Take(NamedTuple):
    """What a bucket answered. `wait` is in seconds; `remaining` in tokens after the answer."""

    taken: bool
    remaining: float
    wait: float  # until the amount asked for would be there; 0 when it was taken
    reset: float  # until the bucket is full again


class Ledger(ABC):
    """Rate buckets, nonces, tickets, revocations. Bounded; raises StoreBusy when it cannot answer.

    Rates run on monotonic time, expiries on wall time. A holder that is killed with -9 blocks nobody.
    """

    @abstractmethod
    def take(self, bucket: str, amount: int, *, rate: float, burst: int) -> Take:
        """Take `amount` tokens from a bucket that refills `rate` a second up to `burst`.

        All or nothing. A negative amount gives tokens back.
        """

    @abstractmethod
    def claim(self, key: str, ttl: float) -> bool:
        """Claim a key for `ttl` seconds; False when somebody holds it. For nonces and single use."""

    @abstractmethod
    def put(self, key: str, value: bytes, ttl: float) -> None:
        """Set a fact for `ttl` seconds; at most 4 KiB. Every worker's `watch` is told."""

    @abstractmethod
    def get(self, key: str) -> bytes | None:
        """Return a fact that has not expired, or None."""

    @abstractmethod
    def watch(self, changed: Callable[[str, bytes], None]) -> None:
        """Call `changed(key, value)` within a second of a `put` by any process."""

    @abstractmethod
    def close(self) -> None:
        """Give back files; may be called more than once."""
