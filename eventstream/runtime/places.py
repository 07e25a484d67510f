"""From a cursor's text to a place in the store, and what was lost on the way."""

from __future__ import annotations

from collections.abc import Sequence

from eventstream.components.output import Gap, Start
from eventstream.components.store import Epoch, Store, epoch_of
from eventstream.errors import CursorError, Reject
from eventstream.events.cursor import Cursor


class Places:
    """Cursors of one store."""

    def __init__(self, store: Store) -> None:
        """Take an open store: its current epoch stays the same while this process has it open."""
        self._store = store
        self._epochs: Sequence[Epoch] = store.epochs()
        self._newest = self._epochs[-1]

    def text(self, offset: int) -> str:
        """Return the text of a place, under the epoch it belongs to.

        So a place from before the last start stays known when a backup of that time is restored.
        """
        newest = self._newest
        epoch = newest if newest.first <= offset else epoch_of(self._epochs, offset)
        return f"{epoch.name}-{offset}"

    def start(self, place: str | None, *, lenient: bool = False) -> Start:
        """Resolve a place; see `eventstream.components.output.Delivery.start`."""
        if place is None or place == "latest":
            return Start(self._store.head())
        if place == "earliest":
            return Start(self._store.read(0, 1).trimmed)
        try:
            cursor = Cursor.parse(place)
        except CursorError:
            if not lenient:
                raise Reject(
                    "after takes a cursor of this server, `earliest` or `latest`", status=400, reason="malformed"
                ) from None
            return self._lost(place[:128], self._store.read(0, 1).trimmed)
        return self._resolve(place, cursor)

    def _resolve(self, place: str, cursor: Cursor) -> Start:
        page = self._store.read(cursor.offset, 1)
        names = [epoch.name for epoch in self._epochs]
        if cursor.epoch not in names:
            return self._lost(place, page.trimmed)
        later = self._epochs[names.index(cursor.epoch) + 1 :]
        bound = min(epoch.first for epoch in later) - 1 if later else page.head
        if cursor.offset > bound:
            return self._lost(place, max(bound, page.trimmed))
        if cursor.offset < page.trimmed:
            return Start(page.trimmed, Gap(place, self.text(page.trimmed), "expired"))
        return Start(cursor.offset)

    def _lost(self, place: str, resumed: int) -> Start:
        """The cursor is of a history that was given up: go on from where that one ended, or the earliest."""
        return Start(resumed, Gap(place, self.text(resumed), "epoch"))
