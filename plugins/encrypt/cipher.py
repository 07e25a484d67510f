"""The cipher `xchacha20poly1305`: what seals stored events (`store.at_rest`)."""

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError
from nacl.utils import random

from eventstream import Cipher

NONCE_SIZE = 24


class XChaCha20Poly1305(Cipher):
    """Seal stored events by XChaCha20-Poly1305 (IETF): a random nonce of 24 bytes, then the ciphertext."""

    name = "xchacha20poly1305"

    def seal(self, key: bytes, plaintext: bytes, bound: bytes) -> bytes:
        """Return nonce and ciphertext."""
        nonce = random(NONCE_SIZE)
        return nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, bound, nonce, key)

    def unseal(self, key: bytes, sealed: bytes, bound: bytes) -> bytes:
        """Return the plaintext; raises ValueError."""
        nonce = sealed[:NONCE_SIZE]
        try:
            return crypto_aead_xchacha20poly1305_ietf_decrypt(sealed[NONCE_SIZE:], bound, nonce, key)
        except (CryptoError, TypeError) as error:  # TypeError: too short for a nonce
            raise ValueError("wrong key, or altered") from error
