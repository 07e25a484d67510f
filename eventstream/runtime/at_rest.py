"""Encryption at rest: a store whose events' data is sealed on its way in and opened on its way out.

    {…attributes…,"data":…}  ⇄  {…attributes…,"data_sealed":{"v":1,"kid":…,"data":base64}}

Attributes stay as they are: filters need them, and the cipher binds the data to them. What is sealed is
the member `data` (or `data_base64`) with its comma, byte for byte, so what comes out is what went in.
Fingerprints are hashed again under a key, so that nobody confirms a guessed event from the file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from eventstream.components.cipher import AtRest
from eventstream.components.component import Services
from eventstream.components.key import Key
from eventstream.components.store import Conflict, Entry, Page, Receipt, Record, Store
from eventstream.errors import StoreBusy
from eventstream.events.codec import split_data
from eventstream.events.filter import Filter
from eventstream.runtime.wrapped import WrappedStore
from eventstream.telemetry.bounded import Bounded
from eventstream.telemetry.log import get_logger

log = get_logger("at_rest")

PURPOSES = ("", "at-rest")
MAX_KEYS = 16  # older keys that are tried
BOUND = b"eventstream at rest 1\n"  # what the cipher binds begins with it
OFFLOAD_FROM = 256 * 1024  # bytes of one event from which the cipher leaves the event loop
PAUSE_EVERY = 128  # events
PATIENCE = 5.0  # seconds in which a new key surely reaches every process
NO_KEY = "no_key"
_MARK = b',"data_sealed":'

Result = Receipt | Conflict | None


class _Sealed(msgspec.Struct, forbid_unknown_fields=True):
    v: int
    kid: str
    data: bytes  # base64 in JSON


class _Derived(NamedTuple):
    """What is made of one secret key: never one key for two things."""

    data: bytes
    fingerprint: bytes

    def __repr__(self) -> str:
        """Leave the keys out."""
        return "_Derived()"


class _UnreadableError(Exception):
    """A row does not open; its text is one of a few words."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Sealed)


def sealed_if(store: Store, at_rest: AtRest | None) -> Store:
    """Return the store itself, or one that seals what it stores."""
    return store if at_rest is None else SealedStore(store, at_rest)


class SealedStore(WrappedStore):
    """A store behind a cipher; see `Store`.

    An event that does not open (its key is lost or revoked, or it was altered) is lost history: the page
    says so by its trim mark, so that subscribers are told of a gap; it is logged and counted.
    """

    def __init__(self, store: Store, at_rest: AtRest) -> None:
        """Take a store that is not yet open."""
        super().__init__(store)
        self._unreadable = 0
        self._cipher = at_rest.cipher
        self._owner = at_rest.key
        self._bounded = Bounded(log)

    def open(self, services: Services) -> None:
        """Open the store; keys are asked for at each use."""
        self._services = services
        super().open(services)

    def append(self, entries: Sequence[Entry], *, atomic: bool = True) -> list[Result]:
        """Seal and append; raises StoreBusy while there is no active key."""
        now = self._services.now()
        key = next((key for key in self._secrets() if key.in_use(now)), None)
        if key is None:
            raise StoreBusy(f"store.at_rest: no active secret key of {self._owner}", retry_after=5)
        derived = _derive(key.private)
        sealed: list[Entry] = []
        for count, entry in enumerate(entries, 1):
            sealed.append(self._seal(entry, key.kid, derived))
            if count % PAUSE_EVERY == 0:
                self._services.pause()
        results = super().append(sealed, atomic=atomic)
        if any(isinstance(result, Conflict) for result in results):
            results = self._known_otherwise(entries, sealed, results, key, atomic=atomic)
        return results

    def _seal(self, entry: Entry, kid: str, derived: _Derived) -> Entry:
        fingerprint = _keyed(entry.fingerprint, derived)
        at = split_data(entry.json)
        if at < 0:
            return entry._replace(fingerprint=fingerprint)
        head, data = entry.json[:at], entry.json[at:-1]
        seal = self._cipher.seal
        if len(data) < OFFLOAD_FROM:
            raw = seal(derived.data, data, BOUND + head)
        else:
            raw = self._services.offload(lambda: seal(derived.data, data, BOUND + head))
        json = b"".join((head, _MARK, _encoder.encode(_Sealed(1, kid, raw)), b"}"))
        return entry._replace(fingerprint=fingerprint, json=json)

    def _known_otherwise(
        self, entries: Sequence[Entry], sealed: list[Entry], results: list[Result], key: Key, *, atomic: bool
    ) -> list[Result]:
        """Ask again about conflicts under older keys, and as from before the sealing: a repeat is no conflict."""
        older = [_derive(other.private) for other in self._secrets() if other.private != key.private]
        for derived in [*older[:MAX_KEYS], None]:
            places = [place for place, result in enumerate(results) if isinstance(result, Conflict)]
            if not places:
                break
            for place in places:
                plain = entries[place].fingerprint
                fingerprint = plain if derived is None else _keyed(plain, derived)
                sealed[place] = sealed[place]._replace(fingerprint=fingerprint)
            if atomic:  # nothing was appended
                results = super().append(sealed)
            else:
                again = super().append([sealed[place] for place in places], atomic=False)
                for place, result in zip(places, again, strict=True):
                    results[place] = result
        return results

    def read(self, after: int, limit: int, filter: Filter | None = None, *, hidden: bool = False) -> Page:
        """Return a page of opened events. It ends before one that does not open, or has it behind its trim mark."""
        page = super().read(after, limit, filter, hidden=hidden)
        records: list[Record] = []
        keys: dict[str, list[bytes]] = {}
        lost = 0
        for count, record in enumerate(page.records, 1):
            try:
                records.append(self._opened(record, keys))
            except _UnreadableError as reason:
                if reason.args == (NO_KEY,) and abs(self._services.now() - record.received) < PATIENCE:
                    raise StoreBusy(f"event {record.offset} is sealed under a key that is not known here yet") from None
                if records:  # it begins the next page
                    return Page(records, record.offset - 1, page.head, max(page.trimmed, lost))
                lost = record.offset
                self._note(record, str(reason))
            if count % PAUSE_EVERY == 0:
                self._services.pause()
        return Page(records, page.next, page.head, max(page.trimmed, lost))

    def echo(self, take: Callable[[int, int, Callable[[], list[Record]]], None]) -> None:
        """Offer nothing: the store would give it back sealed."""

    def _opened(self, record: Record, keys: dict[str, list[bytes]]) -> Record:
        """Return the record opened. `keys` remembers for one page which may open what; raises _UnreadableError."""
        body = record.json
        at = split_data(body)
        if at < 0 or not body.startswith(_MARK, at):  # from before the sealing, or without data
            return record
        head = body[:at]
        try:
            sealed = _decoder.decode(body[at + len(_MARK) : -1])
        except msgspec.DecodeError:
            raise _UnreadableError("malformed") from None
        if sealed.v != 1:
            raise _UnreadableError("version")
        usable = keys.get(sealed.kid)
        if usable is None:
            usable = keys[sealed.kid] = self._data_keys(sealed.kid)
        json = head + self._unseal(sealed, usable, BOUND + head) + b"}"
        return Record(record.offset, record.type, record.source, record.subject, json, record.received, record.deliver)

    def _unseal(self, sealed: _Sealed, keys: Sequence[bytes], bound: bytes) -> bytes:
        unseal, raw = self._cipher.unseal, sealed.data
        for key in keys:
            try:
                if len(raw) < OFFLOAD_FROM:
                    return unseal(key, raw, bound)
                data: bytes = self._services.offload(partial(unseal, key, raw, bound))
            except ValueError:
                continue
            return data
        if self._services.keys.find(sealed.kid) is None:
            raise _UnreadableError(NO_KEY)
        raise _UnreadableError("revoked" if self._named(sealed.kid) is None else "altered")

    def _data_keys(self, kid: str) -> list[bytes]:
        """Return what may open: the key of this id, then the owner's others (ids in the section `keys` may move)."""
        named = self._named(kid)
        others = [key for key in self._secrets() if key != named]
        usable = others if named is None else [named, *others]
        return [_derive(key.private).data for key in usable[:MAX_KEYS]]

    def _named(self, kid: str) -> Key | None:
        key = self._services.keys.find(kid)
        return key if key is not None and _is_ours(key) else None

    def _note(self, record: Record, reason: str) -> None:
        self._unreadable += 1
        self._services.count("at_rest_unreadable")
        self._bounded.note("event_unreadable", reason, level=logging.ERROR, offset=record.offset, key=self._owner)

    def stats(self) -> dict[str, Any]:
        """Return the store's numbers, and how many events did not open when they were read (`unreadable`)."""
        return super().stats() | {"unreadable": self._unreadable}

    def _secrets(self) -> list[Key]:
        """Return the owner's keys, newest first, also expired ones: they seal no more, and open what they sealed."""
        return [key for key in self._services.keys.of(self._owner) if _is_ours(key)]


def _is_ours(key: Key) -> bool:
    return key.kind == "secret" and key.purpose in PURPOSES and key.state != "revoked" and bool(key.private)


@lru_cache(maxsize=64)
def _derive(secret: bytes) -> _Derived:
    data, fingerprint = (
        blake2b(key=secret, digest_size=32, person=person).digest()
        for person in (b"eventstream-data", b"eventstream-dups")
    )
    return _Derived(data, fingerprint)


def _keyed(fingerprint: bytes, derived: _Derived) -> bytes:
    return blake2b(fingerprint, key=derived.fingerprint, digest_size=16).digest()
