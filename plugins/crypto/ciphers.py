"""Operations that seal and open."""

from typing import Annotated

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_box_easy,
    crypto_box_open_easy,
    crypto_box_seal,
    crypto_box_seal_open,
    crypto_scalarmult_base,
)
from nacl.exceptions import CryptoError
from nacl.utils import random

from eventstream import Meta
from eventstream_plugins.crypto.desk import Desk
from eventstream_plugins.crypto.fields import Binary, Ciphertext, GivenKey, Nonce
from eventstream_plugins.crypto.operation import Operation, Reply
from eventstream_plugins.crypto.refusals import refuse, unopened

NONCE_SIZE = 24
TAG_SIZE = 16  # bytes that every ciphertext has more than its plaintext
SEAL_SIZE = 32 + TAG_SIZE

Theirs = Annotated[GivenKey, Meta(description="The other side's public Curve25519 key.")]
Mine = Annotated[GivenKey, Meta(description="One's own private Curve25519 key.")]
Secret = Annotated[GivenKey, Meta(description="A secret key: 32 bytes.")]


class Boxed(Reply, tag="box"):
    """What was sealed, and the nonce that opens it."""

    ciphertext: bytes
    nonce: bytes


class Box(Operation, tag="box"):
    """Seal for one reader, who can tell who sealed it (crypto_box_easy)."""

    public_key: Theirs
    private_key: Mine
    plaintext: Binary

    def run(self, desk: Desk) -> Boxed:
        """The nonce is made here, so that none is used twice."""
        public = desk.public(self.public_key, "curve25519", "/public_key", new=True)
        private = desk.private(self.private_key, "curve25519", "/private_key", new=True)
        nonce = random(NONCE_SIZE)
        sealed = desk.work(len(self.plaintext), lambda: crypto_box_easy(self.plaintext, nonce, public, private))
        return Boxed(ciphertext=sealed, nonce=nonce)


class UnBoxed(Reply, tag="box_open"):
    """What was sealed."""

    plaintext: bytes


class BoxOpen(Operation, tag="box_open"):
    """Open a box: with the sender's public key and one's own private key (crypto_box_open_easy)."""

    public_key: Theirs
    private_key: Mine
    ciphertext: Ciphertext
    nonce: Nonce

    def run(self, desk: Desk) -> UnBoxed:
        """Whatever does not open is refused with the same words."""
        public = desk.public(self.public_key, "curve25519", "/public_key", new=False)
        private = desk.private(self.private_key, "curve25519", "/private_key", new=False)
        _check_length(self.ciphertext, TAG_SIZE)
        try:
            plaintext = desk.work(
                len(self.ciphertext),
                lambda: crypto_box_open_easy(self.ciphertext, bytes(self.nonce), public, private),
            )
        except CryptoError:
            raise unopened("/ciphertext") from None
        return UnBoxed(plaintext=plaintext)


class SealedBox(Reply, tag="sealed_box"):
    """What was sealed."""

    ciphertext: bytes


class SealBox(Operation, tag="sealed_box"):
    """Seal for one reader, without a sender (crypto_box_seal)."""

    public_key: Theirs
    plaintext: Binary

    def run(self, desk: Desk) -> SealedBox:
        """Nobody but the reader opens it, not even who sealed it."""
        public = desk.public(self.public_key, "curve25519", "/public_key", new=True)
        return SealedBox(ciphertext=desk.work(len(self.plaintext), lambda: crypto_box_seal(self.plaintext, public)))


class OpenedBox(Reply, tag="sealed_box_open"):
    """What was sealed."""

    plaintext: bytes


class SealedBoxOpen(Operation, tag="sealed_box_open"):
    """Open a sealed box with the reader's private key (crypto_box_seal_open)."""

    private_key: Mine
    ciphertext: Ciphertext

    def run(self, desk: Desk) -> OpenedBox:
        """Whatever does not open is refused with the same words."""
        private = desk.private(self.private_key, "curve25519", "/private_key", new=False)
        _check_length(self.ciphertext, SEAL_SIZE)
        public = crypto_scalarmult_base(private)
        try:
            plaintext = desk.work(len(self.ciphertext), lambda: crypto_box_seal_open(self.ciphertext, public, private))
        except CryptoError:
            raise unopened("/ciphertext") from None
        return OpenedBox(plaintext=plaintext)


class Encrypted(Reply, tag="encrypt"):
    """What was encrypted, and the nonce that opens it."""

    ciphertext: bytes
    nonce: bytes


class Encrypt(Operation, tag="encrypt"):
    """Encrypt under a secret key with XChaCha20-Poly1305 (crypto_aead_xchacha20poly1305_ietf_encrypt)."""

    key: Secret
    plaintext: Binary
    associated_data: Annotated[Binary | None, Meta(description="Not encrypted, but needed to open.")] = None

    def run(self, desk: Desk) -> Encrypted:
        """The nonce is made here, so that none is used twice."""
        key = desk.private(self.key, "secret", "/key", new=True)
        nonce, bound = random(NONCE_SIZE), self.associated_data or b""
        ciphertext = desk.work(
            len(self.plaintext) + len(bound),
            lambda: crypto_aead_xchacha20poly1305_ietf_encrypt(self.plaintext, bound, nonce, key),
        )
        return Encrypted(ciphertext=ciphertext, nonce=nonce)


class Decrypted(Reply, tag="decrypt"):
    """What was encrypted."""

    plaintext: bytes


class Decrypt(Operation, tag="decrypt"):
    """Decrypt what `encrypt` made (crypto_aead_xchacha20poly1305_ietf_decrypt)."""

    key: Secret
    ciphertext: Ciphertext
    nonce: Nonce
    associated_data: Annotated[Binary | None, Meta(description="The same as it was encrypted with.")] = None

    def run(self, desk: Desk) -> Decrypted:
        """Whatever does not open is refused with the same words."""
        key = desk.private(self.key, "secret", "/key", new=False)
        _check_length(self.ciphertext, TAG_SIZE)
        bound = self.associated_data or b""
        try:
            plaintext = desk.work(
                len(self.ciphertext) + len(bound),
                lambda: crypto_aead_xchacha20poly1305_ietf_decrypt(self.ciphertext, bound, self.nonce, key),
            )
        except CryptoError:
            raise unopened("/ciphertext") from None
        return Decrypted(plaintext=plaintext)


def _check_length(ciphertext: bytes, least: int) -> None:
    if len(ciphertext) < least:
        raise refuse(f"this has {len(ciphertext)} bytes; a ciphertext has at least {least}", "/ciphertext")
