"""Events to and from the CloudEvents JSON format, and the plain form `{"type": …, "data": …}`."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from eventstream.errors import Fault, Reject
from eventstream.events import strict_json
from eventstream.events.attributes import fault_in, json_type, timestamp
from eventstream.events.event import CONTEXT_ATTRIBUTES, NO_EXTENSIONS, RESERVED_NAMES, UNSET, Event
from eventstream.events.fresh_id import fresh_id

MAX_FAULTS = 100  # told of one request
MAX_NAME = 64  # characters of a sender's own name that are repeated to it
SIGNATURE = "signature"  # extension attribute: an Ed25519 signature over the canonical event, base64
SIGNATURE_KEY = "signaturekey"  # extension attribute: the id of the key that made it
ANONYMOUS_SOURCE = "/anonymous"  # the source of a plain event whose caller is not known
_CONTEXT = frozenset(CONTEXT_ATTRIBUTES)
_REQUIRED = frozenset({"id", "source", "type"})
_REQUIRED_OF_PLAIN = frozenset({"type"})
_NO_CONTENT = frozenset({"id", "source", SIGNATURE, SIGNATURE_KEY})  # a repeat may be signed anew, by a newer key
_LINE_ENDS = ((b"\xe2\x80\xa8", rb"\u2028"), (b"\xe2\x80\xa9", rb"\u2029"), (b"\xc2\x85", rb"\u0085"))
_LINE_END_BYTES = re.compile(b"\xe2\x80[\xa8\xa9]|\xc2\x85")


class Form(StrEnum):
    """How an event arrived."""

    PLAIN = "plain"
    STRUCTURED = "structured"
    BINARY = "binary"
    BATCH = "batch"
    DATA = "data"  # the whole body is the data; a step knew the attributes (`Step.attributes`)


class Incoming(NamedTuple):
    """A decoded event and the fingerprint of what its sender wrote.

    The fingerprint leaves out `id` and `source` (they are what it is looked up by), a signature, and
    whatever this server filled in, so that a sender's repeat has the fingerprint of its first attempt.
    """

    event: Event
    fingerprint: bytes
    identified: bool = True  # False: its sender gave no id, the one it has is ours


def malformed(detail: str, faults: list[Fault] | None = None) -> Reject:
    """Return the refusal of a body that is not an event."""
    return Reject(detail, status=400, reason="malformed", faults=(faults or [])[:MAX_FAULTS])


def is_json(media_type: str | None) -> bool:
    """Tell whether data of this media type is JSON (RFC 6839 suffix included)."""
    if media_type is None:
        return True
    essence = media_type.partition(";")[0].strip().lower()
    return essence == "application/json" or essence.endswith("+json")


def from_mapping(fields: Any, *, plain: bool = False, now: float = 0.0) -> Incoming:
    """Build an event from a parsed JSON object; raises Reject with a pointer per fault.

    With `plain`, `id`, `source` and `time` may be missing and are filled in, and `timestamp`
    (the Standard Webhooks word) stands for `time`.
    """
    if not isinstance(fields, dict):
        raise malformed(f"an event is a JSON object, not {json_type(fields)}")
    if plain and "timestamp" in fields:
        fields = dict(fields)
        fields.setdefault("time", fields.pop("timestamp"))
    faults = _check_version(fields.get("specversion", "1.0" if plain else None))
    data = _data_of(fields, faults)
    given = {}
    for name, value in fields.items():
        if value is not None and name not in RESERVED_NAMES:
            given[name] = value
            fault = fault_in(name, value)
            if fault:
                faults.append(_fault_at(name, fault))
    required = _REQUIRED_OF_PLAIN if plain else _REQUIRED
    if not given.keys() >= required:
        faults += [Fault(f"{name} is required", pointer=f"/{name}") for name in sorted(required - given.keys())]
    if faults:
        raise malformed("the body is not a valid event", faults)
    fingerprint = fingerprint_of(given, data)
    identified = "id" in given
    if plain:
        given.setdefault("id", fresh_id())
        given.setdefault("source", ANONYMOUS_SOURCE)
        given.setdefault("time", timestamp(now))
    return Incoming(build(given, data), fingerprint, identified)


def build(attributes: Mapping[str, Any], data: Any) -> Event:
    """Build an event from checked attributes."""
    if _CONTEXT.issuperset(attributes):
        return Event(**attributes, data=data)
    known = {name: value for name, value in attributes.items() if name in _CONTEXT}
    extensions = {name: value for name, value in attributes.items() if name not in _CONTEXT}
    return Event(**known, data=data, extensions=extensions)


def fingerprint_of(given: Mapping[str, Any], data: Any) -> bytes:
    """Return 16 bytes that are equal for equal content, whatever the key order."""
    if isinstance(data, bytes):
        data = {"data_base64": data.hex()}  # told apart from a string that looks like it
    return digest_of({name: value for name, value in given.items() if name not in _NO_CONTENT}, data)


def digest_of(content: Mapping[str, Any], data: Any) -> bytes:
    """Return the fingerprint of JSON data and the attributes that are content: neither `id` nor `source`."""
    packed = strict_json.canonical([content] if data is UNSET else [content, data])
    return hashlib.blake2b(packed, digest_size=16).digest()


def _check_version(version: Any) -> list[Fault]:
    if version == "1.0":
        return []
    if version is None:
        return [Fault("specversion is required", pointer="/specversion")]
    return [Fault('specversion must be "1.0"', pointer="/specversion")]


def _data_of(fields: Mapping[str, Any], faults: list[Fault]) -> Any:
    """Return `data` or the bytes of `data_base64` (JSON format, section 3.1)."""
    data = fields.get("data", UNSET)
    encoded = fields.get("data_base64")
    if encoded is None:
        return data
    if data is not UNSET:
        faults.append(Fault("data and data_base64 exclude each other", pointer="/data_base64"))
        return UNSET
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, TypeError, ValueError):
        faults.append(Fault("data_base64 must be a base64 string", pointer="/data_base64"))
        return UNSET


def to_mapping(event: Event) -> dict[str, Any]:
    """Return the event as the JSON format's object, attributes in the specification's order."""
    fields: dict[str, Any] = {"specversion": "1.0", "id": event.id, "source": event.source, "type": event.type}
    for name in ("time", "subject", "datacontenttype", "dataschema"):
        value = getattr(event, name)
        if value is not None:
            fields[name] = value
    if event.extensions:
        fields.update(event.extensions)
    if event.data is not UNSET:
        if isinstance(event.data, bytes):
            fields["data_base64"] = base64.b64encode(event.data).decode()
        else:
            fields["data"] = event.data
    return fields


def encode(event: Event) -> bytes:
    """Return the event in the CloudEvents JSON format: the form that is stored and sent.

    Unicode's own line ends are escaped: clients that split text with a library's idea of a line, and
    not with that of Server-Sent Events, would lose what follows them.
    """
    usual = event.extensions is NO_EXTENSIONS and type(event.data) is not bytes
    body = strict_json.encode(event if usual else to_mapping(event))
    if not body.isascii() and _LINE_END_BYTES.search(body):
        for raw, escaped in _LINE_ENDS:
            body = body.replace(raw, escaped)
    return body


_DATA_MEMBER = re.compile(rb',"data(?:_base64|_sealed)?":')


def split_data(body: bytes) -> int:
    """Return where the data's member (with its comma) begins in what `encode` wrote; -1 when it has none.

    Attributes are flat and stand before the data, so the first member of this name is the one.
    """
    found = _DATA_MEMBER.search(body)
    return found.start() if found else -1


def decode_stored(body: bytes) -> Event:
    """Read back what `encode` wrote (trusted: attributes are not judged again)."""
    fields = strict_json.decode(body)
    attributes = {name: value for name, value in fields.items() if name not in RESERVED_NAMES}
    return build(attributes, _data_of(fields, []))


def _fault_at(name: str, fault: str) -> Fault:
    if len(name) > MAX_NAME:
        return Fault(f"{name[:MAX_NAME]}… {fault}")
    return Fault(f"{name} {fault}", pointer=f"/{_escape(name)}")


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
