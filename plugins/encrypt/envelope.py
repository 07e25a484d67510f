"""The envelope, as `docs/reference/envelope.md` describes it byte by byte: makes version 1, opens 0 and 1.

Rules for editors: a published version never changes its meaning: whatever changes what is sealed, wrapped
or bound is a new version. All that an opener reads is either covered by the cipher or refused when it varies.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.secret import SecretBox
from nacl.utils import random

from eventstream import (
    SIGNATURE,
    SIGNATURE_KEY,
    UNSET,
    Event,
    EventStreamError,
    JsonError,
    Reject,
    decode_json,
    from_mapping,
)

VERSION = 1
MARK = "eventstream-envelope"
ALG = "xchacha20poly1305"
MEDIA_TYPE = "application/vnd.eventstream-envelope+json"
KEY_SIZE = 32
NONCE_SIZE = 24
MAX_RECIPIENTS = 256
MAX_BOUND = 256  # attributes
MAX_DEPTH = 513  # of the plaintext: the most that `limits.depth` allows to data, and the object around it
WRAP_BOUND = b"eventstream-envelope 1 key"  # associated data of a content key under a secret key

CORE = ("id", "source", "type", "time", "subject")  # bound whether set or not
DESCRIBING = ("datacontenttype", "dataschema")  # sealed with the data, as is its sender's signature
SIGNED = (SIGNATURE, SIGNATURE_KEY)
ON_THE_WAY = frozenset({"traceparent", "tracestate", "cursor", "eventstreamhidden"})  # may change after sealing

Wrapping = Literal["sealed-box", "xchacha20poly1305"]
WRAPPINGS: Mapping[str, Wrapping] = {"curve25519": "sealed-box", "secret": "xchacha20poly1305"}  # by kind of key
Reason = Literal["no_envelope", "version", "not_for_us", "altered"]

_MEMBERS = frozenset({MARK, "alg", "bound", "recipients", "nonce", "ciphertext"})


class _Shape(NamedTuple):
    """A version: its members, how content keys are wrapped, which attributes are inside."""

    members: frozenset[str]
    wrappings: frozenset[str]
    inside: Sequence[str]


_SHAPES = {
    0: _Shape(_MEMBERS - {"bound"}, frozenset({"sealed-box", "shared"}), DESCRIBING),
    1: _Shape(_MEMBERS, frozenset(WRAPPINGS.values()), DESCRIBING + SIGNED),
}
_sorted = msgspec.json.Encoder(order="sorted")


class EnvelopeError(EventStreamError):
    """An envelope does not open; `reason` says in a word why."""

    def __init__(self, message: str, reason: Reason = "altered") -> None:
        """Take a text without secrets."""
        super().__init__(message)
        self.reason = reason


class Recipient(NamedTuple):
    """Who can open an envelope: the key's id, how the content key is wrapped, and the 32 bytes for it."""

    kid: str
    alg: Wrapping
    key: bytes  # a Curve25519 public key, or a secret key

    def __repr__(self) -> str:
        """Leave the key out."""
        return f"Recipient({self.kid!r}, {self.alg!r})"


class ContentKey(NamedTuple):
    """A content key and its wrappings; may serve many events for the same recipients."""

    key: bytes
    recipients: list[dict[str, str]]

    def __repr__(self) -> str:
        """Leave the key out."""
        return "ContentKey()"


class Envelope(NamedTuple):
    """An envelope taken apart, of a known version and well-formed."""

    version: int
    bound: Sequence[str]
    recipients: list[dict[str, str]]
    nonce: bytes
    ciphertext: bytes


def new_content_key(recipients: Sequence[Recipient]) -> ContentKey:
    """Make a content key and wrap it for each recipient: about 100 µs for a sealed box; raises CryptoError."""
    key = random(KEY_SIZE)
    wrapped = [{"kid": one.kid, "alg": one.alg, "key": _encode(_wrap(one, key))} for one in recipients]
    return ContentKey(key, wrapped)


def plaintext_of(event: Event) -> bytes:
    """Return what is sealed: the data, what describes it, and its sender's signature, as a JSON object."""
    fields: dict[str, Any] = {}
    for name in DESCRIBING + SIGNED:
        value = event.get(name)
        if value is not None:
            fields[name] = value
    if isinstance(event.data, bytes):
        fields["data_base64"] = _encode(event.data)
    elif event.data is not UNSET:
        fields["data"] = event.data
    return _sorted.encode(fields)


def seal(event: Event, plaintext: bytes, content_key: ContentKey) -> Event:
    """Return the event with its plaintext (`plaintext_of`) in an envelope."""
    extensions = {name: value for name, value in event.extensions.items() if name not in SIGNED}
    bound = [*CORE, *sorted(extensions.keys() - ON_THE_WAY)]
    nonce = random(NONCE_SIZE)
    associated = _associated(event, VERSION, bound, content_key.recipients)
    ciphertext = crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, associated, nonce, content_key.key)
    envelope = {
        MARK: VERSION,
        "alg": ALG,
        "bound": bound,
        "recipients": content_key.recipients,
        "nonce": _encode(nonce),
        "ciphertext": _encode(ciphertext),
    }
    return event.replace(data=envelope, datacontenttype=MEDIA_TYPE, dataschema=None, extensions=extensions)


def is_envelope(event: Event) -> bool:
    """Tell whether the event's data says that it is an envelope, of whatever version."""
    return isinstance(event.data, dict) and MARK in event.data


def open_envelope(event: Event, kid: str, key: bytes) -> Event:
    """Return the event as it was before it was sealed; raises EnvelopeError.

    `key` is the 32-byte Curve25519 private key, or the secret key, whose id is `kid`.
    """
    if len(key) != KEY_SIZE:
        raise EnvelopeError(f"a key has {KEY_SIZE} bytes, not {len(key)}", "not_for_us")
    envelope = parse_envelope(event.data)
    mine = next((one for one in envelope.recipients if one["kid"] == kid), None)
    if mine is None:
        raise EnvelopeError(f"the envelope is not for {kid}", "not_for_us")
    return open_for(event, envelope, mine, key)


def open_for(event: Event, envelope: Envelope, recipient: Mapping[str, str], key: bytes) -> Event:
    """Open the event's envelope with the key of one of its recipients; raises EnvelopeError."""
    associated = _associated(event, envelope.version, envelope.bound, envelope.recipients)
    try:
        content_key = _unwrap(recipient["alg"], _decode(recipient["key"]), key)
        plaintext = crypto_aead_xchacha20poly1305_ietf_decrypt(
            envelope.ciphertext, associated, envelope.nonce, content_key
        )
    except (CryptoError, ValueError, TypeError):
        raise EnvelopeError("the envelope does not open: wrong key, or altered") from None
    opened = _parse_inside(plaintext, envelope.version)
    for name in _SHAPES[envelope.version].inside:
        event = event.with_attribute(name, opened.get(name))
    return event.replace(data=opened.data)


def _parse_inside(plaintext: bytes, version: int) -> Event:
    """Return the data and what describes it, judged as if it had come in plain: anybody can seal anything."""
    try:
        fields = decode_json(plaintext, max_depth=MAX_DEPTH)
        if isinstance(fields, dict) and fields.keys() <= {"data", "data_base64", *_SHAPES[version].inside}:
            return from_mapping({**fields, "specversion": "1.0", "id": "-", "source": "-", "type": "-"}).event
    except (JsonError, Reject):  # their words could show what was sealed
        pass
    raise EnvelopeError(f"the envelope holds what none of version {version} does")


def parse_envelope(data: Any) -> Envelope:
    """Take an envelope apart, strictly: what the cipher does not cover may not vary either; raises EnvelopeError."""
    if not isinstance(data, dict) or MARK not in data:
        raise EnvelopeError("the data is no envelope", "no_envelope")
    version = data[MARK]
    if type(version) is not int or version not in _SHAPES:  # False and 0.0 equal 0
        raise EnvelopeError(f"envelopes of this version are not known here, only {sorted(_SHAPES)}", "version")
    shape = _SHAPES[version]
    bound, recipients = data.get("bound", []), data.get("recipients")
    if data.keys() != shape.members or data["alg"] != ALG:
        raise EnvelopeError(f"the envelope's members are not those of version {version}")
    if not isinstance(bound, list) or len(bound) > MAX_BOUND or not all(isinstance(name, str) for name in bound):
        raise EnvelopeError("the envelope's bound attributes are malformed")
    if not isinstance(recipients, list) or len(recipients) > MAX_RECIPIENTS:
        raise EnvelopeError("the envelope's recipients are malformed")
    if not all(_is_recipient(one, shape.wrappings) for one in recipients):
        raise EnvelopeError("the envelope's recipients are malformed")
    return Envelope(version, bound, recipients, _decode(data["nonce"]), _decode(data["ciphertext"]))


def _is_recipient(value: Any, wrappings: frozenset[str]) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"kid", "alg", "key"}
        and all(isinstance(text, str) for text in value.values())
        and value["alg"] in wrappings
    )


def _associated(event: Event, version: int, bound: Iterable[str], recipients: Iterable[Mapping[str, str]]) -> bytes:
    """Return what the cipher covers beside the data: one JSON array, so no two contexts read alike."""
    wrapped = [[one["kid"], one["alg"], one["key"]] for one in recipients]
    if version == 0:
        return msgspec.json.encode([MARK, 0, ALG, event.id, event.source, event.type, wrapped])
    return msgspec.json.encode([MARK, version, ALG, wrapped, [[name, event.get(name)] for name in bound]])


def _wrap(recipient: Recipient, content_key: bytes) -> bytes:
    if recipient.alg == "sealed-box":
        return SealedBox(PublicKey(recipient.key)).encrypt(content_key)
    nonce = random(NONCE_SIZE)
    return nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(content_key, WRAP_BOUND, nonce, recipient.key)


@lru_cache(maxsize=256)  # events for the same readers share a content key for a while
def _unwrap(alg: str, wrapped: bytes, key: bytes) -> bytes:
    if alg == "sealed-box":
        return SealedBox(PrivateKey(key)).decrypt(wrapped)
    if alg == "shared":  # version 0
        return SecretBox(key).decrypt(wrapped)
    nonce, sealed = wrapped[:NONCE_SIZE], wrapped[NONCE_SIZE:]
    return crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, WRAP_BOUND, nonce, key)


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decode(text: Any) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise EnvelopeError("the envelope holds bad base64") from None
    if _encode(raw) != text:
        raise EnvelopeError("the envelope holds base64 with stray bits")
    return raw
