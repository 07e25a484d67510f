"""Keys as people write them: what import reads and export writes."""

import base64
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from eventstream import JsonError, Key, decode_base64, decode_json, parse_key
from eventstream_plugins.points import PAIRS, public_of

from .jwk import from_jwk, to_jwk

FORMATS = ("jwk", "raw", "webhook")
MAX_TEXT = 65_536  # bytes of an imported text
_SIZE = 32
_SECRETS = ("secret", "hmac")


class Material(NamedTuple):
    """A key without its circumstances."""

    kind: str
    public: bytes
    private: bytes
    kid: str | None = None

    def __repr__(self) -> str:
        """Leave the halves out."""
        return f"Material({self.kind!r})"


def read_texts(text: str, kind: str | None, *, private: bool) -> list[Material]:
    """Read `whpk_`, `whsk_`, `whsec_`, `sha256:`, a JWK, a JWK Set or base64; raises ValueError that never shows it.

    Base64 needs `kind`; of a pair it is the public half, or with `private` the private one.
    """
    text = text.strip()
    found = list(_read_json(text, kind) if text.startswith("{") else [_read_word(text, kind, private=private)])
    for one in found:
        if kind is not None and one.kind != kind:
            raise ValueError(f"this is a key of kind {one.kind}, not {kind}")
    return [_whole(one) for one in found]


def _read_json(text: str, kind: str | None) -> Iterator[Material]:
    try:
        value: Any = decode_json(text.encode())
    except JsonError as error:
        raise ValueError(f"this is not JSON: {error}") from None
    members = value.get("keys", [value])
    if not isinstance(members, list) or not members:
        raise ValueError("this JWK Set has no keys")
    for fields in members:
        yield Material(*from_jwk(fields, kind))


def _read_word(text: str, kind: str | None, *, private: bool) -> Material:
    if text.startswith("-----BEGIN"):
        raise ValueError("PEM is not read here: give the key as JWK, whpk_… or base64")
    if text.startswith("esk_"):
        raise ValueError("this is an API key itself: import its SHA-256, written sha256:<64 hexadecimal digits>")
    if text.startswith("whsk_"):
        return Material("ed25519", b"", decode_base64(text.removeprefix("whsk_")))
    notation = "standard-webhooks" if text.startswith(("whpk_", "whsec_")) else kind
    if text.startswith("sha256:"):
        notation = "api-key"
    if notation is None:
        raise ValueError("say what this base64 is: --kind ed25519, curve25519, secret or hmac")
    if notation in PAIRS and private:
        return Material(notation, b"", decode_base64(text))
    key = parse_key("", "", notation, text)
    return Material(key.kind, key.public, key.private)


def _whole(one: Material) -> Material:
    """Bring a private half to its usual form, and give it its public half."""
    if one.kind not in PAIRS or not one.private:
        return one
    seed, public = one.private, one.public
    if one.kind == "ed25519" and len(seed) == 2 * _SIZE:  # as libsodium writes it: seed and public half
        seed, inside = seed[:_SIZE], seed[_SIZE:]
        if public and public != inside:
            raise ValueError("the two public halves in this key differ")
        public = inside
    if len(seed) != _SIZE:
        raise ValueError(f"a private key of kind {one.kind} has {_SIZE} bytes, not {len(seed)}")
    return Material(one.kind, public or public_of(one.kind, seed), seed, one.kid)


def write_text(key: Key, form: str | None, *, private: bool) -> str:
    """Return a key in one of FORMATS (None: the usual one of its kind); raises ValueError when it has no such form."""
    if key.kind in _SECRETS and not private:
        raise ValueError(f"a key of kind {key.kind} is private as a whole: add --private")
    if private and not key.private:
        raise ValueError("the private half of this key is not here")
    if key.kind == "api-key":
        return f"sha256:{key.public.hex()}"
    form = form or ("webhook" if key.kind == "hmac" else "raw" if key.kind == "secret" else "jwk")
    if form == "jwk":
        return json.dumps(to_jwk(key, private=private))
    half = key.private if private else key.public
    if form == "raw":
        return base64.b64encode(half).decode()
    return _webhook(key, private=private)


def _webhook(key: Key, *, private: bool) -> str:
    if key.kind == "hmac":
        return f"whsec_{base64.b64encode(key.private).decode()}"
    if key.kind != "ed25519":
        raise ValueError(f"Standard Webhooks has no keys of kind {key.kind}")
    half = key.private + key.public if private else key.public
    return f"{'whsk' if private else 'whpk'}_{base64.b64encode(half).decode()}"


def public_text(key: Key) -> str:
    """Return what everybody may see of a key, in one word; `-` when that is nothing."""
    if key.kind in _SECRETS or not key.public:
        return "-"
    if key.kind == "api-key":
        return f"sha256:{key.public.hex()}"
    encoded = base64.b64encode(key.public).decode()
    return f"whpk_{encoded}" if key.kind == "ed25519" else encoded
