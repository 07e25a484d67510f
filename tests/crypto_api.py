"""The route `crypto` with services of its own, for its tests."""

import base64
import json

import pytest

from eventstream import Identity, Key, Keys, Reject, Request
from eventstream.components.keyring import LiveKeys
from eventstream.testing.services import PlainServices
from eventstream_plugins.crypto import CryptoRoute
from eventstream_plugins.points import public_of

NOW = 1_800_000_000.0
STATES = {
    "revoked": {"state": "revoked"},
    "expired": {"expires": NOW},
    "not yet valid": {"not_before": NOW + 1},
    "retiring": {"state": "retiring", "expires": NOW + 60},
}


def b64(raw):
    return base64.b64encode(raw).decode()


def raw(text):
    return base64.b64decode(text, validate=True)


def make_key(kid, kind, *, purpose="", owner=None, private=b"", public=None, **state):
    """A key whose private half is thirty-two times one byte, so that a test knows it."""
    private = private or bytes([len(kid) + 40]) * 32
    if public is None:
        public = public_of(kind, private) if kind in ("ed25519", "curve25519") else b""
    return Key(kid, owner or kid.partition("-")[0], kind, public, private, purpose, NOW - 60, **state)


class Api:
    """The route with services of its own, spoken to in Python values."""

    def __init__(self, options, keys=(), keyring=None, folder="."):
        self.now = NOW
        self.services = PlainServices(folder, clock=lambda: self.now)
        self.services.keyring = keyring
        if keyring is not None:
            keyring.open(self.services)
        self.services.keys = Keys(keys) if keyring is None else LiveKeys(keys, keyring)
        self.route = CryptoRoute.create(options)
        self.route.open(self.services)

    def send(self, value, identity=None):
        """The body of the reply; a refusal is raised."""
        head = {"content-type": "application/json"}
        request = Request("POST", "/crypto", head, json.dumps(value).encode(), identity=identity)
        answer = self.route.handle(request)
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        return json.loads(answer.body)

    def ask(self, operation, *, by=None, **fields):
        """The reply to one operation. Bytes are written as base64; `by` is the caller's name."""
        fields = {name: b64(value) if isinstance(value, bytes) else value for name, value in fields.items()}
        identity = None if by is None else Identity(by, "test")
        reply = self.send({"operation": operation, **fields}, identity)
        assert reply.pop("operation") == operation
        return reply

    def refused(self, operation, **fields):
        """Status, detail and pointer of the refusal of one operation."""
        with pytest.raises(Reject) as caught:
            self.ask(operation, **fields)
        return refusal_of(caught.value)


def refusal_of(refusal):
    (fault,) = refusal.faults
    return refusal.status, refusal.detail, fault.pointer
