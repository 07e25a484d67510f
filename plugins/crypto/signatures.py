"""Operations that sign and verify."""

from typing import Annotated

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from eventstream import Meta
from eventstream_plugins.crypto.desk import Desk
from eventstream_plugins.crypto.fields import Binary, GivenKey, Signature
from eventstream_plugins.crypto.operation import Operation, Reply


class Signed(Reply, tag="sign"):
    """The signature alone; the message is not in it."""

    signature: bytes


class Sign(Operation, tag="sign"):
    """Sign a message with Ed25519 (crypto_sign_detached)."""

    private_key: Annotated[GivenKey, Meta(description="Private Ed25519 key: 64 bytes, or its seed of 32.")]
    message: Binary

    def run(self, desk: Desk) -> Signed:
        """The same key and message give the same signature."""
        seed = desk.private(self.private_key, "ed25519", "/private_key", new=True)
        signed = desk.work(len(self.message), lambda: crypto_sign(self.message, crypto_sign_seed_keypair(seed)[1]))
        return Signed(signature=signed[: Signature.size])


class Verified(Reply, tag="verify"):
    """Whether the signature is that key's over that message."""

    valid: bool


class Verify(Operation, tag="verify"):
    """Verify a detached Ed25519 signature (crypto_sign_verify_detached)."""

    public_key: Annotated[GivenKey, Meta(description="The signer's public Ed25519 key.")]
    message: Binary
    signature: Signature

    def run(self, desk: Desk) -> Verified:
        """A wrong signature is a good answer; a bad key is refused."""
        public = desk.public(self.public_key, "ed25519", "/public_key", new=False)
        try:
            desk.work(len(self.message), lambda: crypto_sign_open(self.signature + self.message, public))
        except BadSignatureError:
            return Verified(valid=False)
        return Verified(valid=True)
