"""The keys that may have signed a token, each pinned to its own algorithms.

Imported where `jwt` is configured only: PyJWT and its cryptography cost each process some 10 MB and 0.1 s.
"""

from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from jwt.algorithms import Algorithm

from eventstream import ConfigError, Key, Services, decode_json

MAX_FILE = 256 * 1024
MAX_KEYS = 100
SECRET_BYTES = 32  # RFC 7518 section 3.2: a key of at least the hash's size
_LOOK_EVERY = 1.0  # seconds between two looks at the file
_ED25519 = frozenset({"EdDSA", "Ed25519"})  # RFC 9864 renames it
# (kty, crv) -> PyJWT's algorithm, and the names it goes by in a header. One key never serves two families, so
# that a public key is never taken for a secret.
_OF_JWK: Mapping[tuple[Any, Any], tuple[str, frozenset[str]]] = {
    ("OKP", "Ed25519"): ("EdDSA", _ED25519),
    ("EC", "P-256"): ("ES256", frozenset({"ES256"})),
    ("RSA", None): ("RS256", frozenset({"RS256"})),
}


class Signer(NamedTuple):
    """One key, ready to check signatures."""

    kid: str | None
    algorithms: Collection[str]
    algorithm: Algorithm
    key: Any  # as `algorithm` takes it
    state: Key | None = None  # tells whether it counts now; None: it does while it stands in the file

    def __repr__(self) -> str:
        """Leave the key out."""
        return f"Signer({self.kid!r}, {sorted(self.algorithms)})"

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Tell whether the signature is this key's."""
        good: bool = self.algorithm.verify(message, self.key, signature)
        return good


def from_key(key: Key) -> Signer | None:
    """Return a key of the section `keys` or the keyring as a signer, or None when it cannot be one."""
    if key.kind == "ed25519" and len(key.public) == 32:
        x = urlsafe_b64encode(key.public).rstrip(b"=").decode()
        jwk = jwt.PyJWK({"kty": "OKP", "crv": "Ed25519", "x": x})
        return Signer(key.kid, _ED25519, jwk.Algorithm, jwk.key, key)
    if key.kind == "hmac" and len(key.private) >= SECRET_BYTES:
        algorithm = jwt.get_algorithm_by_name("HS256")
        try:
            secret = algorithm.prepare_key(key.private)
        except jwt.InvalidKeyError:  # the text of a public key: everybody could sign with it
            return None
        return Signer(key.kid, ("HS256",), algorithm, secret, key)
    return None


def read_jwks(path: Path) -> Sequence[Signer]:
    """Return the public signing keys of a JWKS file; raises ValueError that says what is wrong, OSError."""
    with path.open("rb") as file:
        text = file.read(MAX_FILE + 1)
    if len(text) > MAX_FILE:
        raise ValueError(f"a JWKS has at most {MAX_FILE} bytes")
    document = decode_json(text, max_depth=8)
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError('a JWKS is an object with a list "keys" of objects (RFC 7517 section 5)')
    if len(entries) > MAX_KEYS:
        raise ValueError(f"a JWKS has at most {MAX_KEYS} keys")
    signers = [signer for number, entry in enumerate(entries) if (signer := _from_jwk(entry, number)) is not None]
    if not signers:
        raise ValueError("no key for signatures by EdDSA (Ed25519), ES256 or RS256 is in it")
    return signers


def _from_jwk(entry: dict[str, Any], number: int) -> Signer | None:
    """Return a signer; None for a key of another use or kind, which RFC 7517 section 5 says to ignore."""
    if "d" in entry or "k" in entry:
        raise ValueError(f"key {number} is private: give the file with the public halves")
    operations = entry.get("key_ops", ["verify"])
    if entry.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    kind, curve = str(entry.get("kty")), str(entry.get("crv"))
    name, algorithms = _OF_JWK.get((kind, None if kind == "RSA" else curve), ("", frozenset()))
    if not name or entry.get("alg", name) not in algorithms:
        return None
    kid = entry.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise ValueError(f"key {number}: kid is not text")
    try:
        key = jwt.PyJWK(entry, name)
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise ValueError(f"key {number} is malformed: {error}") from None
    short = key.Algorithm.check_key_length(key.key)
    if short:
        raise ValueError(f"key {number}: {short}")
    return Signer(kid, algorithms, key.Algorithm, key.key)


class JwksFile:
    """The keys of a JWKS file, read again when it changes. A file that is broken or gone changes nothing."""

    def __init__(self, path: Path, services: Services) -> None:
        """Read it; raises ConfigError."""
        self._path = path
        self._services = services
        self._looked = services.now()
        try:
            self._seen = self._stamp()
            self._signers = read_jwks(path)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: {error}") from None

    def signers(self) -> Sequence[Signer]:
        """Return the keys that stood in the file when it was last good."""
        now = self._services.now()
        if abs(now - self._looked) >= _LOOK_EVERY:
            self._looked = now
            self._look()
        return self._signers

    def _look(self) -> None:
        try:
            stamp = self._stamp()
            if stamp != self._seen:
                self._signers = read_jwks(self._path)
                self._seen = stamp
        except (OSError, ValueError):
            self._services.count("jwks_broken")

    def _stamp(self) -> tuple[int, int, int]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino
