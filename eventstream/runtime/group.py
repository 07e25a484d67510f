"""Subscribers that share a filter and a format, and the index that finds them for an event."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING

from eventstream.components.output import Format
from eventstream.components.store import Record
from eventstream.errors import FilterError
from eventstream.events.filter import INDEXED, Filter

if TYPE_CHECKING:
    from eventstream.runtime.sink import Subscriber

MAX_UNINDEXED = 1000  # distinct filters that every event must be held against


class Group:
    """All subscribers of one worker with one filter and one format: they get the same bytes.

    A live member has been sent everything up to the hub's head. One that cannot keep up is taken
    out of `live`, and comes back when it has caught up.
    """

    __slots__ = ("filter", "format", "key", "live", "members")

    def __init__(self, key: Hashable, filter: Filter, format: Format) -> None:
        """Start empty."""
        self.key = key
        self.filter = filter
        self.format = format
        self.live: dict[Subscriber, None] = {}
        self.members = 0


class Groups:
    """The groups of one hub, found by filter and by event."""

    def __init__(self) -> None:
        """Start empty."""
        self._groups: dict[Hashable, Group] = {}
        self._exact: dict[str, dict[str, set[Group]]] = {name: {} for name in INDEXED}
        self._prefix: dict[str, dict[str, set[Group]]] = {name: {} for name in INDEXED}
        self._lengths: dict[str, list[int]] = {name: [] for name in INDEXED}
        self._unindexed: set[Group] = set()
        self._deep: set[Group] = set()  # those that look at more of an event than INDEXED

    def __iter__(self) -> Iterator[Group]:
        """Return every group."""
        return iter(list(self._groups.values()))

    @property
    def unindexed(self) -> int:
        """How many groups every event has to be held against."""
        return len(self._unindexed)

    def key_of(self, record: Record) -> Hashable:
        """Return what decides which groups want an event: events with equal keys go to the same; None when unknown."""
        return None if self._deep else (record.type, record.source, record.subject)

    def __bool__(self) -> bool:
        """Tell whether anybody subscribes."""
        return bool(self._groups)

    def join(self, filter: Filter, format: Format) -> Group:
        """Return the group of this filter and format, one member larger; raises FilterError when full."""
        key = (filter.key, format.key)
        group = self._groups.get(key)
        if group is None:
            if filter.index is None and filter.key != _ALL.key and len(self._unindexed) >= MAX_UNINDEXED:
                raise FilterError(f"more than {MAX_UNINDEXED} distinct filters without an exact or prefix condition")
            group = self._groups[key] = Group(key, filter, format)
            self._insert(group)
        group.members += 1
        return group

    def leave(self, group: Group) -> None:
        """Take one member off; an empty group goes."""
        group.members -= 1
        if group.members == 0:
            del self._groups[group.key]
            self._remove(group)

    def matching(self, record: Record) -> Iterator[Group]:
        """Yield the groups that want this event; costs what they cost, not what all groups cost."""
        for name in INDEXED:
            value = record.get(name)
            if not isinstance(value, str):
                continue
            for group in self._exact[name].get(value, ()):
                if group.filter.matches(record):
                    yield group
            for length in self._lengths[name]:
                if length > len(value):
                    break
                for group in self._prefix[name].get(value[:length], ()):
                    if group.filter.matches(record):
                        yield group
        for group in self._unindexed:
            if group.filter.matches(record):
                yield group

    def _places(self, group: Group) -> Iterator[tuple[dict[str, set[Group]], str]]:
        selector = group.filter.index
        if selector is not None:
            for value in selector.exact:
                yield self._exact[selector.attribute], value
            for prefix in selector.prefixes:
                yield self._prefix[selector.attribute], prefix

    def _insert(self, group: Group) -> None:
        if group.filter.index is None:
            self._unindexed.add(group)
        if group.filter.opaque or any(one.attribute not in INDEXED for one in group.filter.selectors):
            self._deep.add(group)
        for table, value in self._places(group):
            table.setdefault(value, set()).add(group)
        self._measure(group)

    def _remove(self, group: Group) -> None:
        self._unindexed.discard(group)
        self._deep.discard(group)
        for table, value in self._places(group):
            table[value].discard(group)
            if not table[value]:
                del table[value]
        self._measure(group)

    def _measure(self, group: Group) -> None:
        """Note again which prefix lengths are in use; groups come and go far more rarely than events."""
        selector = group.filter.index
        if selector is not None and selector.prefixes:
            self._lengths[selector.attribute] = sorted({len(prefix) for prefix in self._prefix[selector.attribute]})


_ALL = Filter()
