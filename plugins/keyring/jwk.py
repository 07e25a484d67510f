"""Keys as JSON Web Keys (RFC 7517, RFC 8037)."""

import base64
from typing import Any

from eventstream import Key, decode_base64

CURVES = {"ed25519": "Ed25519", "curve25519": "X25519"}
_KINDS = {curve: kind for kind, curve in CURVES.items()}
_USES = {"ed25519": "sig", "curve25519": "enc"}


def to_jwk(key: Key, *, private: bool = False) -> dict[str, str]:
    """Return a key as a JWK; raises ValueError for a key that has no such form. The private half only if asked."""
    if key.kind in CURVES:
        half = {"d": _text(key.private)} if private else {}
        public = {"kty": "OKP", "crv": CURVES[key.kind], "kid": key.kid, "use": _USES[key.kind], "x": _text(key.public)}
        return public | half
    if key.kind in ("secret", "hmac") and private:
        alg = {"alg": "HS256"} if key.kind == "hmac" else {}
        return {"kty": "oct", "kid": key.kid, "k": _text(key.private)} | alg
    raise ValueError(f"a key of kind {key.kind} has no public JWK")


def from_jwk(fields: Any, kind: str | None) -> tuple[str, bytes, bytes, str | None]:
    """Return kind, public half, private half and kid; raises ValueError that shows none of it.

    `kind` decides between `secret` and `hmac`, where the JWK does not.
    """
    if not isinstance(fields, dict):
        raise ValueError("a JWK is a JSON object")  # noqa: TRY004  # the documented error
    kid, family = fields.get("kid"), fields.get("kty")
    if kid is not None and not isinstance(kid, str):
        raise ValueError("the JWK's kid is no text")
    if family == "OKP":
        found = _KINDS.get(str(fields.get("crv")))
        if found is None:
            raise ValueError("the JWK's crv is not Ed25519 or X25519")
        return found, _member(fields, "x"), _member(fields, "d") if "d" in fields else b"", kid
    if family == "oct":
        found = "hmac" if str(fields.get("alg", "")).startswith("HS") else kind
        if found not in ("secret", "hmac"):
            raise ValueError("say what this key is for: --kind secret or --kind hmac")
        return found, b"", _member(fields, "k"), kid
    raise ValueError("the JWK's kty is not OKP or oct: only Ed25519, X25519 and shared secrets are kept here")


def _member(fields: dict[str, Any], name: str) -> bytes:
    text = fields.get(name)
    if not isinstance(text, str) or not text:
        raise ValueError(f"the JWK has no {name}")
    try:
        return decode_base64(text)
    except ValueError as error:
        raise ValueError(f"the JWK's {name}: {error}") from None


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
