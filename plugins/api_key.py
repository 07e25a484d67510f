"""The authenticator `api-key`: long random texts, of which the server keeps only the SHA-256."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from eventstream import Authenticator, Identity, Key, Keys, Problem, Reject, Request, Services, hookimpl

_KEY = re.compile(r"esk_([A-Za-z0-9.:-][A-Za-z0-9._:-]{0,127}?)_[A-Za-z0-9_-]{20,256}\Z")
_BEARER = re.compile(r"bearer +(esk_.*)\Z", re.IGNORECASE | re.DOTALL)
_NOBODY = Key("", "", "api-key", public=bytes(32))


class ApiKeyAuthenticator(Authenticator):
    """Know callers by an API key: `Authorization: Bearer esk_…` or `X-API-Key: esk_…`.

    `eventstream keys new api-key --owner shop` makes one. Its owner is the caller's name. Keys are those of
    kind `api-key` in the keyring and the section `keys`, where the text is the SHA-256 of the whole API key
    in hex. Expiry, revocation and `not_before` count at each request. The identity can be revoked by
    `key:<kid>` and `name:<owner>`, and ends when the key expires.
    """

    name = "api-key"
    challenge = "Bearer"
    scheme: ClassVar[Mapping[str, Any]] = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    examples: ClassVar[list[Any]] = [{}]

    def check(self, folder: str, keys: Keys) -> Iterable[Problem]:
        """Warn where nobody can have a key."""
        if not keys.open and not any(_usable(key) for key in keys.all()):
            hint = "add a key of kind api-key to the section keys, or a keyring"
            yield Problem("there is no API key, so nobody is known by one", hint=hint, severity="warning")

    def open(self, services: Services) -> None:
        """Keep what tells the keys and the time."""
        self._services = services
        self._index: Mapping[bytes, Key] = {}
        self._revision: int | None = None

    def authenticate(self, request: Request) -> Identity | None:
        """Return the owner of the API key; None without one. Raises Reject 401."""
        text = _given(request.headers)
        if text is None:
            return None
        match = _KEY.match(text)
        if match is None:
            raise _refusal("not of the form esk_<kid>_<secret>")
        digest = hashlib.sha256(text.encode("latin-1")).digest()
        # Found by its digest, which nobody can steer towards a stored one: an unknown key costs what a known one does.
        key = self._keys().get(digest, _NOBODY)
        if not hmac.compare_digest(key.public, digest):
            known = self._services.keys.find(match[1]) is not None  # else it may be a part of a secret: not logged
            raise _refusal(f"not the secret of key {match[1]}" if known else "there is no such key")
        now = self._services.now()
        if not key.accepted(now):
            raise _refusal(f"key {key.kid} {_fault(key, now)}")
        return Identity(key.owner, self.name, (f"key:{key.kid}", f"name:{key.owner}"), key.expires)

    def _keys(self) -> Mapping[bytes, Key]:
        keys = self._services.keys
        revision = keys.revision
        if revision != self._revision:
            self._index = {key.public: key for key in reversed(keys.all()) if _usable(key)}
            self._revision = revision
        return self._index


def _usable(key: Key) -> bool:
    return key.kind == "api-key" and key.purpose in ("", "api")


def _fault(key: Key, now: float) -> str:
    if key.state == "revoked":
        return "is revoked"
    return "is not valid yet" if now < key.not_before else "has expired"


def _given(headers: Mapping[str, str]) -> str | None:
    """Return the API key of a request; raises Reject for two."""
    match = _BEARER.match(headers.get("authorization", ""))
    found = [match[1]] if match is not None else []
    if "x-api-key" in headers:
        found.append(headers["x-api-key"])
    if len(found) > 1:
        raise _refusal("two keys in one request")
    return found[0] if found else None


def _refusal(private: str) -> Reject:
    return Reject("the credential is not valid", 401, "credential", private=private)


@hookimpl
def eventstream_authenticators() -> Sequence[type[Authenticator]]:
    """Offer `api-key`."""
    return [ApiKeyAuthenticator]
