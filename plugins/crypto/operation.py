"""What every operation is: a request with typed fields that runs, and its reply."""

from typing import Any

import msgspec

from eventstream_plugins.crypto.desk import Desk


class Reply(msgspec.Struct, kw_only=True, tag_field="operation", omit_defaults=True):
    """The answer to one operation; bytes are written in standard, padded base64."""

    def __repr__(self) -> str:
        """Leave the fields out: they may be secret."""
        return f"{type(self).__name__}()"


class Operation(msgspec.Struct, kw_only=True, tag_field="operation", forbid_unknown_fields=True):
    """One request. Its docstring says which libsodium function it is."""

    def run(self, desk: Desk) -> Any:
        """Do it and return a Reply; raises Reject."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """Leave the fields out: they may be secret."""
        return f"{type(self).__name__}()"
