"""A place in a store. Opaque outside; SSE ids, `after` and receipts all carry this text."""

from __future__ import annotations

import re
from typing import NamedTuple

from eventstream.errors import CursorError

# Letters, digits and one dash: CORS-safelisted bytes, so a browser never preflights a reconnect.
_TEXT = re.compile(r"([0-9a-z]{1,32})-(0|[1-9][0-9]{0,18})\Z")
MAX_OFFSET = 2**63 - 1  # the largest that stores hold


class Cursor(NamedTuple):
    """The place just behind the event at `offset`, in the history that `epoch` names."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        """Return the text a client keeps and sends back."""
        return f"{self.epoch}-{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read a client's text; raises CursorError for anything this server never wrote."""
        match = _TEXT.match(text)
        if match is None or int(match[2]) > MAX_OFFSET:
            raise CursorError("not a cursor of this server")
        return cls(match[1], int(match[2]))
