"""The master key: 32 bytes under which every private half is sealed, and the keys derived from it."""

import base64
import hmac
import secrets
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
)
from nacl.exceptions import CryptoError

from eventstream import ConfigError, Problem, decode_base64

from . import disk

SIZE = 32
_WANTED = "a master key is 32 bytes in base64, as `eventstream keys master` makes it"


@dataclass(frozen=True, slots=True)
class Safe:
    """Seals and opens the private halves of one keyring. Its keys are derived from the master and the keyring's id."""

    check: bytes  # tells whether a master is the right one
    _seal: bytes = field(repr=False)
    _mac: bytes = field(repr=False)

    def seal(self, private: bytes, bound: bytes) -> bytes:
        """Return nonce and ciphertext; `bound` must be the same at opening."""
        nonce = secrets.token_bytes(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES)
        return nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(private, bound, nonce, self._seal)

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """Return what was sealed; raises ValueError when it, or what it is bound to, was altered."""
        size = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
        try:
            return crypto_aead_xchacha20poly1305_ietf_decrypt(sealed[size:], bound, sealed[:size], self._seal)
        except (CryptoError, ValueError):  # ValueError: too short for a nonce
            raise ValueError("does not open") from None

    def mac(self, body: bytes) -> bytes:
        """Return the authentication code of the keyring's body."""
        return blake2b(body, digest_size=32, key=self._mac).digest()


def make_safe(master: bytes, ident: bytes) -> Safe:
    """Derive a keyring's keys. The three are independent: BLAKE2b with a personalization each."""
    check, seal, mac = (
        blake2b(key=master, salt=ident, person=person, digest_size=32).digest()
        for person in (b"es-keyring-check", b"es-keyring-seal", b"es-keyring-mac")
    )
    return Safe(check, seal, mac)


def same(one: bytes, other: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(one, other)


def read_master(text: str | None, file: Path | None) -> bytes:
    """Return the master key, given as text or by a file; raises ConfigError that never shows it."""
    if file is None:
        return _decode(text or "", "")
    try:
        found = disk.read(file, "master key file")
    except FileNotFoundError:
        hint = "put back the file that the keyring was made with; for a new keyring: eventstream keys master " + str(
            file
        )
        raise ConfigError([Problem("the master key file does not exist", "", hint, str(file))]) from None
    return _decode(found.data.decode("ascii", "replace"), str(file))


def _decode(text: str, file: str) -> bytes:
    try:
        raw = decode_base64(text.strip())
    except ValueError:
        raw = b""
    if len(raw) != SIZE or not any(raw):
        raise ConfigError([Problem("this is no master key", "", _WANTED, file)])
    return raw


def make_master() -> str:
    """Return a new master key's text."""
    return base64.b64encode(secrets.token_bytes(SIZE)).decode()


def write_master(path: Path) -> None:
    """Write a new master key to a new file (0600); raises ConfigError when the file exists already."""
    try:
        disk.create(path, make_master().encode() + b"\n")
    except FileExistsError:
        hint = "a keyring may be sealed under it: it is never written over"
        raise ConfigError([Problem("the file exists already", "", hint, str(path))]) from None
    except OSError as error:
        raise ConfigError([Problem(f"cannot write the master key: {error.strerror}", "", "", str(path))]) from None
