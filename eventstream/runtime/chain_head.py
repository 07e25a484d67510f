"""The chain's head is told now and then: who keeps what was told can tell a history that was written anew."""

from __future__ import annotations

from collections.abc import Callable

from eventstream.components.chain import Chain, ChainMark
from eventstream.components.ledger import Ledger
from eventstream.components.store import Store

KEY = "chain_head"
REMEMBERED = 10 * 365 * 86400.0  # seconds; after that it is told once more


class ChainHead:
    """One worker's part in it: all workers on one ledger tell of each head once."""

    def __init__(self, chain: Chain, store: Store, ledger: Ledger, tell: Callable[[ChainMark], None]) -> None:
        """Take an open store and ledger."""
        self._chain = chain
        self._store = store
        self._ledger = ledger
        self._tell = tell
        self._told: ChainMark | None = None  # by whichever worker

    def observe(self) -> None:
        """Tell of the head when it is due; called once a second. Raises StoreBusy."""
        head = self._store.chain_head()
        if head is None or head == self._told:
            return
        offset, _, told = (self._ledger.get(KEY) or b"0 ").partition(b" ")
        if told == head.hash.hex().encode():
            self._told = head
        elif self._is_mine(head.offset, int(offset)):
            self._tell(head)
            self._ledger.put(KEY, f"{head.offset} {head.hash.hex()}".encode(), REMEMBERED)

    def _is_mine(self, offset: int, told: int) -> bool:
        """Tell whether a head is due, and no other worker tells of it. A restored backup may lie before `told`."""
        block, every = self._chain.events, self._chain.every
        by_number = abs(offset - told) >= block and self._ledger.claim(f"{KEY} {offset // block}", every)
        return by_number or self._ledger.claim(KEY, every)
