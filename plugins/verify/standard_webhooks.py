"""Standard Webhooks 1.0.0: headers sign an id, a time and the raw body.

Rules for editors of all schemes: what was signed is built from header bytes and the raw body, never from anything
parsed or re-encoded; no refusal tells the sender which check it failed; every loop over the sender's
input is bounded.
"""

import re
from typing import ClassVar, NamedTuple

from eventstream import Form, Request
from eventstream_plugins.verify.scheme import RequestScheme, Verdict, need_one_reading, received, source_of, written
from eventstream_plugins.verify.trust import Signature, read_base64, refusal

VERSIONS = {"v1": "hmac", "v1a": "ed25519"}
MAX_ITEMS = 32  # signatures in one header
MAX_HEADER = 8192
_ID = re.compile(r"[!-+\-/-~]{1,256}\Z")  # visible ASCII; no dot (it separates), no comma (a doubled header)
_TIMESTAMP = re.compile(r"[1-9][0-9]{0,11}\Z")


class Signed(NamedTuple):
    """The signed parts of a request, as received."""

    id: str
    timestamp: int
    message: bytes
    signatures: list[Signature]


class StandardWebhooks(RequestScheme):
    """`v1` (HMAC-SHA256) and `v1a` (Ed25519)."""

    kinds: ClassVar[frozenset[str]] = frozenset(VERSIONS.values())

    def claims(self, request: Request) -> bool:
        """Tell whether there is a signature."""
        return "webhook-signature" in request.headers or "svix-signature" in request.headers

    def judge(self, request: Request, form: Form) -> Verdict:
        """Check the signature over id, time and body; raises Reject."""
        need_one_reading(form, request.body)
        if form is Form.DATA:
            raise refusal("a header that is not signed makes the body the data of another event")
        signed = _read(request)
        if abs(self.services.now() - signed.timestamp) > self.config.tolerance:
            raise refusal("the timestamp is out of tolerance")
        key = self.trust.match(signed.message, signed.signatures, self.trust.keys())
        if key is None:
            raise refusal("no signature matches")
        if form is not Form.PLAIN:
            return Verdict(key)
        return Verdict(key, {"id": signed.id, "time": written(signed.timestamp), "source": source_of(key)})


def _read(request: Request) -> Signed:
    """Take the signed parts out of the request; raises Reject."""
    headers = request.headers
    names = ("id", "timestamp", "signature")
    family = "webhook"  # never a mixture of both
    if not any(f"webhook-{name}" in headers for name in names) and "svix-id" in headers:
        family = "svix"
    ident, timestamp, signature = (headers.get(f"{family}-{name}", "") for name in names)
    if not (ident and timestamp and signature):
        raise refusal(f"a {family}- header is missing")
    if not _ID.match(ident):
        raise refusal("the id is not 1 to 256 visible characters without dot and comma")
    if not _TIMESTAMP.match(timestamp):
        raise refusal("the timestamp is not an integer")
    if len(signature) > MAX_HEADER or signature.count(" ") >= MAX_ITEMS:
        raise refusal("too many signatures")
    signatures: list[Signature] = []
    for version, _, text in (item.partition(",") for item in signature.split(" ")):
        raw = read_base64(text)
        if raw is not None and version in VERSIONS:
            signatures.append((VERSIONS[version], raw))
    return Signed(ident, int(timestamp), f"{ident}.{timestamp}.".encode("ascii") + received(request), signatures)
