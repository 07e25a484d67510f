"""Encryption out: the steps `encrypt` and `decrypt`, the envelope between them, and the cipher of the store.

`open_envelope` opens an envelope wherever this package is installed; `docs/reference/envelope.md`
describes it byte by byte for everybody else.
"""

from collections.abc import Sequence

from eventstream import Cipher, Step, hookimpl

from .cipher import XChaCha20Poly1305
from .decrypt import DecryptStep
from .encrypt import EncryptStep
from .envelope import EnvelopeError, open_envelope

__all__ = ["DecryptStep", "EncryptStep", "EnvelopeError", "XChaCha20Poly1305", "open_envelope"]


@hookimpl
def eventstream_steps() -> Sequence[type[Step]]:
    """Offer `encrypt` and `decrypt`."""
    return [EncryptStep, DecryptStep]


@hookimpl
def eventstream_ciphers() -> Sequence[type[Cipher]]:
    """Offer `xchacha20poly1305`."""
    return [XChaCha20Poly1305]
