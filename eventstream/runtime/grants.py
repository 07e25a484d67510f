"""Who may do what: the configuration's grants, looked up by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from eventstream.components.identity import ANONYMOUS, Grant, Identity, Right
from eventstream.config.model import Granted
from eventstream.events.filter import Filter

Rights = Mapping[Right, tuple[Filter, ...]]

MAX_NAMES = 10_000  # whose grants are remembered; more are put together anew


class Grants:
    """The section `auth.grants`. What everybody is granted (`anonymous`), the known are too."""

    def __init__(self, entries: Sequence[Granted]) -> None:
        """Take the entries in the file's order."""
        self._entries = entries
        self._anonymous = rights_of(grant for entry in entries if ANONYMOUS in entry.to for grant in entry.grants)
        self._known: dict[str, Rights] = {}

    def layers(self, identity: Identity | None) -> tuple[Rights, ...]:
        """Return what is granted, by the configuration and by the credential itself: both must allow a thing.

        So a credential can narrow what the configuration grants, never widen it: whoever issues tokens
        cannot give more than the operator wrote down.
        """
        if identity is None:
            return (self._anonymous,)
        rights = self._known.get(identity.name)
        if rights is None:
            if len(self._known) >= MAX_NAMES:
                self._known.clear()
            rights = self._known[identity.name] = self._of(identity.name)
        return (rights,) if identity.grants is None else (rights, rights_of(identity.grants))

    def _of(self, name: str) -> Rights:
        return rights_of(
            grant
            for entry in self._entries
            if any(pattern == ANONYMOUS or _names(pattern, name) for pattern in entry.to)
            for grant in entry.grants
        )


def rights_of(grants: Iterable[Grant]) -> Rights:
    """Sort grants by their right."""
    rights: dict[Right, tuple[Filter, ...]] = {}
    for grant in grants:
        rights[grant.right] = (*rights.get(grant.right, ()), grant.scope)
    return rights


def _names(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
