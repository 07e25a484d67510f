"""Named keys of the configuration, as components see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Key(NamedTuple):
    """One named key: its kind (`standard-webhooks`, `curve25519`, `secret`, …) and texts, newest first.

    The texts are secret: never put them in an error, a log line or a repr.
    """

    name: str
    kind: str
    texts: Sequence[str]

    def __repr__(self) -> str:
        """Leave the texts out."""
        return f"Key({self.name!r}, {self.kind!r})"
