"""GitHub's webhooks: `X-Hub-Signature-256` is an HMAC-SHA256 over the raw body, and over nothing else."""

import hashlib
import re
from collections.abc import Mapping
from typing import ClassVar

from eventstream import Form, Request
from eventstream_plugins.verify.scheme import RequestScheme, Verdict, need_one_reading, received
from eventstream_plugins.verify.trust import refusal

SIGNATURE_HEADER = "x-hub-signature-256"
EVENT_HEADER = "x-github-event"
_SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})\Z")
_EVENT = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")


class GitHub(RequestScheme):
    """`X-Hub-Signature-256`.

    No time is signed, and no id: `X-GitHub-Delivery` can be changed by whoever sends a recorded request again.
    So the id is made of the body, and such a replay is a repeat.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"hmac"})

    def claims(self, request: Request) -> bool:
        """Tell whether there is a signature."""
        return SIGNATURE_HEADER in request.headers

    def attributes(self, request: Request) -> Mapping[str, str] | None:
        """Return type and id of the event whose data GitHub's body is."""
        event = request.headers.get(EVENT_HEADER, "")
        if not _EVENT.match(event):
            return None
        ident = self.digest(request.body, lambda: hashlib.sha256(request.body).hexdigest())
        return {"type": f"com.github.{event}", "id": ident}

    def judge(self, request: Request, form: Form) -> Verdict:
        """Check the signature over the body; raises Reject."""
        need_one_reading(form, request.body)
        if form is Form.PLAIN:
            raise refusal(f"{EVENT_HEADER} is missing, and the body is no CloudEvent")
        match = _SIGNATURE.match(request.headers.get(SIGNATURE_HEADER, ""))
        if match is None:
            raise refusal("the signature is not sha256= and 64 hexadecimal digits")
        key = self.trust.match(received(request), [("hmac", bytes.fromhex(match[1]))], self.trust.keys())
        if key is None:
            raise refusal("the signature does not match")
        return Verdict(key)
