"""A token's outside: its size, shape and header, judged before any key is touched."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, NamedTuple

from eventstream import JsonError, Reject, decode_json

MAX_TOKEN = 8192  # bytes
MAX_TEXT = 256  # characters of a name or an id
_BEARER = re.compile(r"bearer +(.*)\Z", re.IGNORECASE | re.DOTALL)
_SHAPE = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)\Z")
_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
# A token that brings its own key, or says where to fetch one, proves nothing (RFC 8725 sections 3.5 and 3.10).
_OWN_KEY = ("jwk", "jku", "x5u", "x5c")


class Header(NamedTuple):
    """What a token's header says of its signature."""

    algorithm: str
    kid: str | None


def refusal(private: str) -> Reject:
    """Return the refusal of a token: one text for the sender, the fault for the log."""
    return Reject("the credential is not valid", 401, "credential", private=private)


def bearer(authorization: str) -> str | None:
    """Return the bearer token of an `Authorization` header if it is a JWT: the base64url of `{"…`."""
    match = _BEARER.match(authorization)
    return match[1] if match is not None and match[1].startswith("ey") else None


def read_header(token: str) -> Header:
    """Judge a token's shape and header; raises Reject."""
    if len(token) > MAX_TOKEN:
        raise refusal(f"longer than {MAX_TOKEN} bytes")
    match = _SHAPE.match(token)
    if match is None:
        raise refusal("not three parts in base64url (a signed token in compact form)")
    header = read_object(match[1], "header")
    foreign = next((name for name in _OWN_KEY if name in header), None)
    if foreign is not None:
        raise refusal(f"the header has {foreign}: a key that the token brings itself")
    for name in ("crit", "b64"):  # extensions that change what is signed; we know none
        if name in header:
            raise refusal(f"the header has {name}")
    type = header.get("typ", "JWT")
    if not isinstance(type, str) or type.lower() not in _TYPES:
        raise refusal("typ is of another kind of token")
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str):
        raise refusal("the header has no alg")
    if kid is not None and not is_name(kid):
        raise refusal("kid is not a short printable text")
    return Header(algorithm, kid)


def split(token: str) -> tuple[bytes, str, bytes]:
    """Return what is signed, the payload, and the signature of a token whose header was read; raises Reject."""
    signed, _, signature = token.rpartition(".")
    return signed.encode(), signed.partition(".")[2], _decode(signature, "signature")


def _decode(part: str, name: str) -> bytes:
    octets = urlsafe_b64decode(part + "==") if len(part) % 4 != 1 else b""
    if urlsafe_b64encode(octets).rstrip(b"=") != part.encode():  # one spelling for one text
        raise refusal(f"the {name} is not base64url")
    return octets


def read_object(part: str, name: str) -> dict[str, Any]:
    """Decode one part of a token; raises Reject."""
    try:
        value = decode_json(_decode(part, name), max_depth=16)
    except JsonError as error:
        raise refusal(f"the {name} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise refusal(f"the {name} is not an object")
    return value


def is_name(value: object) -> bool:
    """Tell whether a claim is a text that is fit for logs and lists."""
    return isinstance(value, str) and 0 < len(value) <= MAX_TEXT and value.isprintable() and value == value.strip()
