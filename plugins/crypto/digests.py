"""Operations without a pair of keys: hashes, comparison, random bytes."""

import hashlib
import hmac
import secrets
from typing import Annotated, Literal

from eventstream import Meta
from eventstream_plugins.crypto.desk import Desk
from eventstream_plugins.crypto.fields import Binary, GivenKey
from eventstream_plugins.crypto.operation import Operation, Reply
from eventstream_plugins.crypto.refusals import malformed

MAX_RANDOM = 65536  # bytes


class Hashed(Reply, tag="hash"):
    """The hash."""

    hash: bytes


class Hash(Operation, tag="hash"):
    """Hash data with BLAKE2b (crypto_generichash, keyed too), SHA-256 or SHA-512 (crypto_hash_sha256, _sha512)."""

    data: Binary
    algorithm: Literal["blake2b", "sha256", "sha512"] = "blake2b"
    key: Annotated[GivenKey | None, Meta(description="For BLAKE2b: 16 to 64 bytes.")] = None
    size: Annotated[int, Meta(ge=16, le=64, description="For BLAKE2b: bytes of the hash; 32.")] | None = None

    def run(self, desk: Desk) -> Hashed:
        """Only BLAKE2b takes a key and a size."""
        if self.algorithm != "blake2b":
            for name in ("key", "size"):
                if getattr(self, name) is not None:
                    raise malformed(f"{self.algorithm} takes no {name}; blake2b does", f"/{name}")
            return Hashed(hash=desk.work(len(self.data), lambda: hashlib.new(self.algorithm, self.data).digest()))
        key = b"" if self.key is None else desk.mac_key(self.key, "/key")
        size = self.size or 32
        return Hashed(
            hash=desk.work(len(self.data), lambda: hashlib.blake2b(self.data, digest_size=size, key=key).digest())
        )


class Compared(Reply, tag="compare"):
    """Whether both are the same."""

    equal: bool


class Compare(Operation, tag="compare"):
    """Compare bytes in constant time (sodium_memcmp). Only their lengths show in the time it takes."""

    a: Binary
    b: Binary

    def run(self, desk: Desk) -> Compared:
        """Bytes of different lengths are not equal."""
        return Compared(equal=hmac.compare_digest(self.a, self.b))


class RandomBytes(Reply, tag="random"):
    """Bytes that nobody can foretell."""

    bytes: bytes


class Random(Operation, tag="random"):
    """Return random bytes (randombytes_buf)."""

    size: Annotated[int, Meta(ge=1, le=MAX_RANDOM, description="How many bytes.")]

    def run(self, desk: Desk) -> RandomBytes:
        """They come from the kernel."""
        return RandomBytes(bytes=secrets.token_bytes(self.size))
