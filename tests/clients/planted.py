"""Secrets that a test plants, and where any form of them turns up."""

import base64
import math


def forms(secret: bytes) -> set[bytes]:
    """The ways in which 16 bytes or more are written: raw, escaped, hexadecimal, base64 wherever it begins."""
    found = {secret, repr(secret)[2:-1].encode(), secret.hex().encode(), secret.hex().upper().encode()}
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + secret)
        whole = encoded[math.ceil(shift * 8 / 6) : (shift + len(secret)) * 8 // 6]  # without what others share
        found |= {whole, whole.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


class Planted:
    """The secrets, by name."""

    def __init__(self) -> None:
        self._forms: dict[bytes, str] = {}

    def plant(self, name: str, secret: bytes | str) -> None:
        """Look for this from now on."""
        raw = secret.encode() if isinstance(secret, str) else secret
        assert len(raw) >= 16, f"{name} is so short that it may stand anywhere by chance"
        self._forms |= dict.fromkeys(forms(raw), name)

    def found(self, data: bytes | str) -> set[str]:
        """The names of the secrets that stand in these data."""
        data = data.encode(errors="surrogateescape") if isinstance(data, str) else data
        return {name for form, name in self._forms.items() if form in data}
