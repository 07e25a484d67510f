"""The server's side of the WebSocket opening handshake (RFC 6455 section 4.2), without I/O."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence

from eventstream.errors import Reject

VERSION = "13"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


def is_upgrade(headers: Mapping[str, str]) -> bool:
    """Tell whether a request asks for a WebSocket at all. Header names are lower-case."""
    return "websocket" in _tokens(headers.get("upgrade", ""))


def accept(method: str, headers: Mapping[str, str], subprotocols: Sequence[str] = ()) -> dict[str, str]:
    """Judge an opening handshake and return the headers of the 101 that answers it.

    Of the subprotocols that the client offers, the first that is in `subprotocols` is chosen; with
    no offer there is none. Extensions are never negotiated. Raises Reject: 426 with what to upgrade
    to, 400 for anything malformed and for an offer of which nothing is known.
    """
    if method != "GET":
        raise _malformed(f"a WebSocket handshake is a GET, not {method}")
    if not is_upgrade(headers):
        raise _upgrade_required("this resource speaks WebSocket: send Upgrade: websocket")
    if "upgrade" not in _tokens(headers.get("connection", "")):
        raise _malformed("a WebSocket handshake needs Connection: Upgrade")
    if headers.get("sec-websocket-version", "").strip() != VERSION:
        raise _upgrade_required(f"Sec-WebSocket-Version must be {VERSION}")
    key = headers.get("sec-websocket-key", "").strip()
    if not _is_key(key):
        raise _malformed("Sec-WebSocket-Key must be 16 bytes in base64")
    reply = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept_key(key)}
    chosen = _choose(headers.get("sec-websocket-protocol", ""), subprotocols)
    if chosen:
        reply["Sec-WebSocket-Protocol"] = chosen
    return reply


def accept_key(key: str) -> str:
    """Return the `Sec-WebSocket-Accept` that proves this key was read (section 4.2.2)."""
    digest = hashlib.sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def _choose(offer: str, known: Sequence[str]) -> str:
    offered = [name for part in offer.split(",") if (name := part.strip())]
    if not offered or not known:
        return ""
    for name in offered:  # in the client's order of preference
        if name in known:
            return name
    raise _malformed(f"none of the subprotocols offered is known here: offer {' or '.join(known)}, or none")


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return False


def _tokens(value: str) -> list[str]:
    return [token.strip().lower() for token in value.split(",")]


def _malformed(detail: str) -> Reject:
    return Reject(detail, status=400, reason="handshake")


def _upgrade_required(detail: str) -> Reject:
    # 426 must say what to upgrade to (RFC 9110 15.5.22), and which version we speak (RFC 6455 4.4).
    headers = {"Upgrade": "websocket", "Sec-WebSocket-Version": VERSION}
    return Reject(detail, status=426, reason="handshake", headers=headers)
