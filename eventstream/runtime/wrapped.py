"""A store around another: everything is passed on but what a subclass does otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from eventstream.components.chain import ChainMark, ChainPage
from eventstream.components.component import Services
from eventstream.components.ledger import Ledger
from eventstream.components.store import Conflict, Entry, Epoch, Keep, Page, Receipt, Record, Store
from eventstream.events.filter import Filter


class WrappedStore(Store):
    """Passes every call on to `store`; see `Store`."""

    def __init__(self, store: Store) -> None:
        """Take a store that is not yet open, with its options set."""
        super().__init__(store.config)
        self.store = store
        self.durability = store.durability
        self.chained = store.chained
        self.read_only = store.read_only

    def open(self, services: Services) -> None:
        """Open the store."""
        self.store.open(services)

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def data_folder(self, folder: str) -> str | None:
        """Return the store's folder."""
        return self.store.data_folder(folder)

    def keep(self, keep: Keep) -> None:
        """Hand on the retention bounds."""
        self.store.keep(keep)

    def append(self, entries: Sequence[Entry], *, atomic: bool = True) -> list[Receipt | Conflict | None]:
        """Append to the store."""
        return self.store.append(entries, atomic=atomic)

    def read(self, after: int, limit: int, filter: Filter | None = None, *, hidden: bool = False) -> Page:
        """Read from the store."""
        return self.store.read(after, limit, filter, hidden=hidden)

    def head(self) -> int:
        """Return the store's head."""
        return self.store.head()

    def epochs(self) -> Sequence[Epoch]:
        """Return the store's epochs."""
        return self.store.epochs()

    def watch(self, grown: Callable[[int], None], ephemeral: Callable[[bytes], None]) -> None:
        """Watch the store."""
        self.store.watch(grown, ephemeral)

    def echo(self, take: Callable[[int, int, Callable[[], list[Record]]], None]) -> None:
        """Let the store give back what it is given."""
        self.store.echo(take)

    def announce(self, payload: bytes) -> int:
        """Announce through the store."""
        return self.store.announce(payload)

    def trim(self) -> int:
        """Trim the store."""
        return self.store.trim()

    def backup(self, path: str) -> None:
        """Copy the store as it is."""
        self.store.backup(path)

    def open_ledger(self) -> Ledger:
        """Return the store's ledger."""
        return self.store.open_ledger()

    def chain_head(self) -> ChainMark | None:
        """Return the store's chain head: the chain runs over what is stored."""
        return self.store.chain_head()

    def read_chain(self, after: int, limit: int) -> ChainPage | None:
        """Read the store's chain: what is stored, as it is."""
        return self.store.read_chain(after, limit)

    def stats(self) -> dict[str, Any]:
        """Return the store's numbers."""
        return self.store.stats()
