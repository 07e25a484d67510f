"""The keyring: keys that are made, rotated, revoked and expire while the server runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eventstream.components.component import Component
from eventstream.components.key import Key, Keys, State, index_keys


class Keyring(Component):
    """Where keys live. Several processes share one; each sees another's change within a second.

    `open` raises ConfigError when the private halves cannot be read: a lost or wrong master key.
    """

    def public_keys(self, folder: str) -> Sequence[Key]:
        """Return every key without its private half; called without `open`, for `check` and for lists.

        `folder` is the configuration file's. Raises ConfigError when the keyring cannot be read.
        """
        raise NotImplementedError

    @property
    def revision(self) -> int:
        """A number that changes whenever a key does; cheap enough to ask at each use."""
        raise NotImplementedError

    def keys(self) -> Sequence[Key]:
        """Return every key, newest first, also those that no longer count."""
        raise NotImplementedError

    def add(self, key: Key, *, most: int | None = None) -> None:
        """Keep a new key, durably; raises ValueError when its id is taken or it is malformed, StoreBusy.

        Also when its owner has `most` keys. An expired key of purpose `seal` without a private half counts
        no more, and may be let go of when a key is added.
        """
        raise NotImplementedError

    def change(self, kid: str, *, state: State | None = None, expires: float | None = None) -> Key:
        """Change a key's state or expiry, durably, and return it; raises KeyError, StoreBusy.

        A revoked key stays revoked: any other state raises ValueError.
        """
        raise NotImplementedError


class LiveKeys(Keys):
    """The keys of the section `keys` and those of the keyring. A fixed key comes before a keyring's."""

    def __init__(self, fixed: Iterable[Key], keyring: Keyring) -> None:
        """Ask the keyring, which is open."""
        super().__init__(fixed)
        self._keyring = keyring
        self._seen: int | None = None
        self._live = dict(self._index)

    @property
    def revision(self) -> int:
        """The keyring's."""
        return self._keyring.revision

    @property
    def open(self) -> bool:
        """Keys may come."""
        return True

    def all(self) -> Sequence[Key]:
        """Return every key."""
        return (*self._fixed, *self._keyring.keys())

    def of(self, name: str) -> Sequence[Key]:
        """Return the keys whose owner or id is `name`, newest first, whatever their state."""
        revision = self._keyring.revision
        if revision != self._seen:
            self._live = index_keys(self.all())
            self._seen = revision
        return self._live.get(name, ())


class KnownKeys(Keys):
    """Keys as `check` sees them: the keyring is not open, more keys may come."""

    @property
    def open(self) -> bool:
        """Keys may come."""
        return True
