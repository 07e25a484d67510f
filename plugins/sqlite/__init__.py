"""The default store: an ordered history in one SQLite file, shared by every process on it."""

from collections.abc import Sequence

from eventstream import Store, hookimpl

from .store import Sqlite

__all__ = ["Sqlite"]


@hookimpl
def eventstream_stores() -> Sequence[type[Store]]:
    """Offer the store `sqlite`."""
    return [Sqlite]
