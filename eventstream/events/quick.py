"""Events of the usual shape, read at the speed of C; None for whatever may be refused or unusual.

`codec.from_mapping` is the exact reader: it knows every shape and says what is wrong. What is read here
is what it would read, which the tests hold against it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from eventstream.events import strict_json
from eventstream.events.attributes import fault_in, timestamp
from eventstream.events.codec import ANONYMOUS_SOURCE, Incoming, digest_of
from eventstream.events.event import UNSET, Event
from eventstream.events.fresh_id import fresh_id

_OPTIONAL = ("time", "subject", "datacontenttype", "dataschema")


class _Given(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """The members of an event without extension attributes. They are written again for a proof."""

    type: str
    time: str | None = None
    subject: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    data: Any = UNSET


class _Whole(_Given, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A CloudEvent in the JSON format."""

    specversion: Literal["1.0"]
    id: str
    source: str


class _Plain(_Given, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """The plain form, where `id` and `source` may be missing."""

    id: str | None = None
    source: str | None = None


_WHOLE = msgspec.json.Decoder(_Whole)
_PLAIN = msgspec.json.Decoder(_Plain)
_BATCH = msgspec.json.Decoder(list[_Whole])


def read_batch(body: bytes, max_batch: int, max_depth: int) -> list[Incoming] | None:
    """Read a batch of at most `max_batch` CloudEvents."""
    batch = strict_json.decode_as(_BATCH, body)
    if batch is None or len(batch) > max_batch:
        return None
    if not strict_json.is_plain(body, batch, [given.data for given in batch], max_depth - 2):
        return None
    found = []
    fit: set[tuple[str, str]] = set()
    for given in batch:
        incoming = _incoming(given, fit)
        if incoming is None:
            return None
        found.append(incoming)
    return found


def read_whole(body: bytes, max_depth: int) -> Incoming | None:
    """Read one CloudEvent."""
    given = strict_json.decode_as(_WHOLE, body)
    if given is None or not strict_json.is_plain(body, given, [given.data], max_depth - 1):
        return None
    return _incoming(given, set())


def _incoming(given: _Whole, fit: set[tuple[str, str]]) -> Incoming | None:
    """`fit` has the sources and types that were judged before: in a batch they repeat."""
    names = (given.source, given.type)
    if names not in fit:
        if not _fits("source", given.source) or not _fits("type", given.type):
            return None
        fit.add(names)
    attributes = _attributes(given, given.id)
    if attributes is None:
        return None
    event = Event(id=given.id, source=given.source, data=given.data, **attributes)
    return Incoming(event, digest_of(attributes, given.data))


def read_plain(body: bytes, max_depth: int, now: float) -> Incoming | None:
    """Read one event in the plain form, and fill in what it does not say."""
    given = strict_json.decode_as(_PLAIN, body)
    if given is None or not strict_json.is_plain(body, given, [given.data], max_depth - 1):
        return None
    id, source = given.id, given.source
    attributes = _attributes(given, "-" if id is None else id)
    if attributes is None or not _fits("type", given.type) or not (source is None or _fits("source", source)):
        return None
    fingerprint = digest_of(attributes, given.data)
    attributes.setdefault("time", timestamp(now))
    event = Event(
        id=fresh_id() if id is None else id,
        source=ANONYMOUS_SOURCE if source is None else source,
        data=given.data,
        **attributes,
    )
    return Incoming(event, fingerprint, id is not None)


def _fits(name: str, value: str) -> bool:
    return fault_in(name, value) is None


def _attributes(given: _Given, id: str) -> dict[str, Any] | None:
    """Return what is given beside `id` and `source`, or None when something of it or the id is at fault."""
    if not id or not id.isprintable():
        return None
    attributes: dict[str, Any] = {"type": given.type}
    if (given.time, given.subject, given.datacontenttype, given.dataschema) != (None, None, None, None):
        for name in _OPTIONAL:
            value = getattr(given, name)
            if value is not None:
                if not _fits(name, value):
                    return None
                attributes[name] = value
    return attributes
