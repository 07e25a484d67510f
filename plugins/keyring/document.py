"""The keyring's file format, version 1: JSON, its metadata readable, its private halves sealed.

    {"version": 1, "id": …, "revision": …, "check": …, "keys": [{…}], "digest": …, "mac": …}

- `id`: 16 random bytes; with the master key it gives the keys that seal, authenticate and check.
- `revision`: grows with each change, so that an older copy is known.
- `check`: only the right master gives this value.
- `keys`: newest last. `private` is a nonce and an XChaCha20-Poly1305 ciphertext, bound to everything
  in the entry that never changes: no part can be moved to another entry.
- `digest`: SHA-256 of all the above as canonical JSON: tells damage, also without the master.
- `mac`: keyed BLAKE2b of the same: tells that nobody without the master has altered anything.

Bytes are in base64; times in Unix seconds, `expires` null for never.
"""

import base64
import json
import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import msgspec

from eventstream import ConfigError, JsonError, Key, Problem, State, decode_base64, decode_json

from .master import Safe, make_safe, same

VERSION = 1
MAX_KEYS = 10_000

_Text = Annotated[str, msgspec.Meta(max_length=4096)]
_RESTORE = "restore it from a backup"


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One key as it stands in the file."""

    kid: _Text
    owner: _Text
    kind: _Text
    purpose: _Text
    created: float
    not_before: float
    expires: float | None
    state: State
    public: _Text = ""
    private: _Text = msgspec.field(default="")

    def key(self, private: bytes = b"") -> Key:
        """Return the key, with its private half if it is given."""
        return Key(
            self.kid, self.owner, self.kind, decode_base64(self.public), private, self.purpose, self.created,
            self.not_before, math.inf if self.expires is None else self.expires, self.state,
        )  # fmt: skip

    def bound(self) -> bytes:
        """Return what the private half is bound to."""
        parts = [VERSION, self.kid, self.owner, self.kind, self.purpose, self.created, self.public]
        return _canonical(parts)


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of the file that is authenticated."""

    version: int
    id: _Text
    revision: int
    check: _Text
    keys: Annotated[tuple[Entry, ...], msgspec.Meta(max_length=MAX_KEYS)]

    @property
    def salt(self) -> bytes:
        """The id, for `make_safe`."""
        return decode_base64(self.id)

    @property
    def revoked(self) -> frozenset[str]:
        """The ids of revoked keys."""
        return frozenset(entry.kid for entry in self.keys if entry.state == "revoked")


@dataclass(frozen=True, slots=True)
class Document:
    """A keyring file that is whole. It is authentic only once `unlock` says so."""

    body: Body
    content: bytes  # what `mac` is of
    mac: bytes
    path: Path

    def unlock(self, master: bytes) -> Safe:
        """Return what opens the private halves; raises ConfigError for another master, and altered content."""
        safe = make_safe(master, self.body.salt)
        if not same(safe.check, decode_base64(self.body.check)):
            hint = "use the master key that it was made with, or restore the keyring that belongs to this one"
            raise ConfigError([Problem("the keyring is sealed under another master key", "", hint, str(self.path))])
        if not same(safe.mac(self.content), self.mac):
            problem = "the keyring was altered by somebody without the master key"
            raise ConfigError([Problem(problem, "", f"{_RESTORE}, and find out who may write here", str(self.path))])
        return safe

    def keys(self, safe: Safe | None = None) -> tuple[Key, ...]:
        """Return the keys, newest first; with `safe`, their private halves too. Raises ConfigError."""
        keys = []
        for number, entry in enumerate(self.body.keys):
            try:
                private = safe.open(decode_base64(entry.private), entry.bound()) if safe and entry.private else b""
                keys.append(entry.key(private))
            except ValueError as error:
                problem = Problem(f"key {entry.kid} is damaged: {error}", f"/keys/{number}", _RESTORE, str(self.path))
                raise ConfigError([problem]) from None
        keys.reverse()  # of equal times the later entry is the newer
        return tuple(sorted(keys, key=lambda key: -key.created))


def parse(data: bytes, path: Path) -> Document:
    """Read a keyring file without its master; raises ConfigError that says what is wrong and what to do."""
    try:
        value = decode_json(data)
    except JsonError as error:
        raise _damaged(path, f"not JSON: {error}" if data.strip() else "it is empty") from None
    if not isinstance(value, dict):
        raise _damaged(path, "no JSON object")
    version = value.get("version")
    if type(version) is int and version > VERSION:
        hint = "start the Event-Stream that wrote it, or a newer one"
        raise ConfigError(
            [Problem(f"the keyring has version {version}, this server knows {VERSION}", "/version", hint, str(path))]
        )
    try:
        digest, mac = _take(value, "digest"), _take(value, "mac")
        body = msgspec.convert(value, Body)
    except (ValueError, msgspec.ValidationError) as error:
        raise _damaged(path, str(error)) from None
    content = _content(body)
    if body.version != VERSION or not same(sha256(content).digest(), digest):
        raise _damaged(path, "its digest does not fit")
    return Document(body, content, mac, path)


def _take(value: dict[str, Any], name: str) -> bytes:
    text = value.pop(name, None)
    if not isinstance(text, str):
        raise ValueError(f"{name} is missing")  # noqa: TRY004  # one kind of error for every damage
    return decode_base64(text)


def _damaged(path: Path, reason: str) -> ConfigError:
    return ConfigError(
        [Problem(f"the keyring is damaged, half-written or edited by hand: {reason}", "", _RESTORE, str(path))]
    )


def new_body(master: bytes) -> Body:
    """Return the body of an empty keyring."""
    ident = secrets.token_bytes(16)
    return Body(VERSION, _text(ident), 0, _text(make_safe(master, ident).check), ())


def make_entry(key: Key, safe: Safe) -> Entry:
    """Return a key as it goes into the file."""
    expires = None if math.isinf(key.expires) else key.expires
    entry = Entry(
        key.kid, key.owner, key.kind, key.purpose, key.created, key.not_before, expires, key.state, _text(key.public)
    )
    if not key.private:
        return entry
    return msgspec.structs.replace(entry, private=_text(safe.seal(key.private, entry.bound())))


def next_body(body: Body, keys: Sequence[Entry]) -> Body:
    """Return the body after a change."""
    return msgspec.structs.replace(body, keys=tuple(keys), revision=body.revision + 1)


def render(body: Body, safe: Safe) -> bytes:
    """Return the file's bytes, one key a line for those who look at differences."""
    content = _content(body)
    fields = msgspec.to_builtins(body)
    keys = ",\n".join("  " + json.dumps(entry) for entry in fields.pop("keys"))
    fields |= {"digest": _text(sha256(content).digest()), "mac": _text(safe.mac(content))}
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items()]
    lines.append(f' "keys": [\n{keys}\n ]' if keys else ' "keys": []')
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _content(body: Body) -> bytes:
    return _canonical(msgspec.to_builtins(body))


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
