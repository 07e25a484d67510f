"""The step `verify`: signatures after Standard Webhooks 1.0.0, over the bytes as received.

Rules for editors: the signed text is built from header bytes and the raw body, never from anything
parsed or re-encoded; no refusal tells the sender which check it failed; every loop over the sender's
input is bounded.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, NamedTuple
from urllib.parse import quote

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from eventstream import (
    Config,
    ConfigError,
    Context,
    Duration,
    Event,
    Form,
    Key,
    Meta,
    Outcome,
    Problem,
    Reject,
    Request,
    Services,
    Step,
    hookimpl,
)

KIND = "standard-webhooks"
MAX_ITEMS = 32  # signatures in one header
MAX_PUBLIC_CHECKS = 32  # Ed25519 checks for one request, at about 60 µs each
MAX_HEADER = 8192
OFFLOAD_FROM = 256 * 1024  # bytes of body from which hashing leaves the event loop
_ID = re.compile(r"[!-+\-/-~]{1,256}\Z")  # visible ASCII; no dot (it separates), no comma (a doubled header)
_TIMESTAMP = re.compile(r"[1-9][0-9]{0,11}\Z")


class VerifyConfig(Config, frozen=True):
    """Options of `verify`."""

    keys: Annotated[
        list[str],
        Meta(
            description="Names of keys of kind `standard-webhooks`; a signature by any of them will do.",
            min_length=1,
            examples=[["shop"]],
        ),
    ]
    scheme: Annotated[
        Literal["standard-webhooks"], Meta(description="How requests are signed.", examples=["standard-webhooks"])
    ] = "standard-webhooks"
    tolerance: Annotated[
        Duration,
        Meta(description="How far a request's timestamp may be from now, both ways.", examples=["5m"]),
    ] = Duration(300)

    def __post_init__(self) -> None:
        if self.tolerance <= 0:
            raise ValueError("tolerance: must be greater than 0")
        if len(set(self.keys)) != len(self.keys):
            raise ValueError("keys: a key is named twice")


class Verifier(NamedTuple):
    """One text of a key, ready to check signatures."""

    key: str  # its name
    version: Literal["v1", "v1a"]
    secret: bytes  # the HMAC key; the public key for v1a

    def __repr__(self) -> str:
        """Leave the secret out."""
        return f"Verifier({self.key!r}, {self.version!r})"


class Signed(NamedTuple):
    """The signed parts of a request, as received."""

    id: str
    timestamp: int
    message: bytes
    signatures: list[tuple[str, bytes]]  # (version, base64 text)


class VerifyStep(Step):
    """Accept only requests signed after Standard Webhooks 1.0.0.

    The headers `webhook-id`, `webhook-timestamp` and `webhook-signature` (or `svix-…`) sign the id, the
    time and the raw body. A key's text `whsec_…` checks `v1` (HMAC-SHA256), `whpk_…` checks `v1a`
    (Ed25519). A key may hold several texts, and a request several signatures, while either side rotates:
    one match is enough, unknown versions and junk beside it are skipped.

    A plain body's id becomes its `webhook-id`, its time the `webhook-timestamp`, its source `/keys/` and
    the key's name, so a sender's retry is a repeat. Structured events and batches keep their own. The
    name of the key is known to later steps (`limit: {by: key}`).

    Errors: 401 with one text for every fault of a signature; the log names the fault. 400 for binary
    mode, whose attributes are not signed, and for a CloudEvent sent as plain `application/json`. An
    event that came without a request is refused.
    """

    name = "verify"
    Config = VerifyConfig
    config: VerifyConfig
    fail_closed = True
    needs_request = True
    examples: ClassVar[list[Any]] = [
        {"scheme": "standard-webhooks", "keys": ["shop"]},
        {"keys": ["shop", "till"], "tolerance": "2m"},
    ]

    def __init__(self, config: VerifyConfig) -> None:
        super().__init__(config)
        self._verifiers: list[Verifier] = []

    def check(self, folder: str, keys: Mapping[str, Key]) -> Iterable[Problem]:
        """Judge the named keys: known, of the right kind, each text well-formed."""
        return self._load(keys)[1]

    def open(self, services: Services) -> None:
        """Decode the keys."""
        self._verifiers, problems = self._load(services.keys)
        if problems:
            raise ConfigError(problems)
        self._now: Callable[[], float] = services.now
        self._offload = services.offload

    def claims(self, request: Request) -> bool:
        """Tell whether the request carries a signature of this scheme."""
        return "webhook-signature" in request.headers or "svix-signature" in request.headers

    def process(self, event: Event, context: Context) -> Event:
        """Return the event once its request is verified; raises Reject."""
        return self._accept(event, context, self._judge(context))

    def process_batch(self, events: Sequence[Event], context: Context) -> list[Outcome]:
        """Judge the request once for all its events."""
        try:
            signed = self._judge(context)
        except Reject as refusal:
            return [Reject(refusal.detail, refusal.status, refusal.reason, private=refusal.private) for _ in events]
        return [self._accept(event, context, signed) for event in events]

    def _judge(self, context: Context) -> Signed:
        """Check the request's signature and set `context.key`; raises Reject."""
        if context.request is None:
            raise _refusal("came without a request")
        _check_form(context.form, context.request.body)
        signed = _read(context.request)
        if abs(self._now() - signed.timestamp) > self.config.tolerance:
            raise _refusal("the timestamp is out of tolerance")
        if len(signed.message) < OFFLOAD_FROM:
            name = _match(signed, self._verifiers)
        else:
            name = self._offload(lambda: _match(signed, self._verifiers))
        if name is None:
            raise _refusal("no signature matches")
        context.key = name
        return signed

    def _accept(self, event: Event, context: Context, signed: Signed) -> Event:
        if context.form is not Form.PLAIN:
            return event
        time = datetime.fromtimestamp(signed.timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return event.replace(id=signed.id, time=time, source=f"/keys/{quote(context.key or '', safe='')}")

    def _load(self, keys: Mapping[str, Key]) -> tuple[list[Verifier], list[Problem]]:
        verifiers: list[Verifier] = []
        problems: list[Problem] = []
        for index, name in enumerate(self.config.keys):
            pointer = f"/keys/{index}"
            key = keys.get(name)
            if key is None:
                hint = f"keys of this configuration: {', '.join(sorted(keys)) or 'none'}"
                problems.append(Problem(f"there is no key {name}", pointer, hint))
            elif key.kind != KIND:
                problems.append(Problem(f"key {name} is of kind {key.kind}", pointer, f"verify needs {KIND}"))
            else:
                for number, text in enumerate(key.texts, 1):
                    try:
                        verifiers.append(_verifier(name, text))
                    except ValueError as error:
                        problems.append(Problem(f"text {number} of key {name}: {error}", pointer))
        return verifiers, problems


def _verifier(name: str, text: str) -> Verifier:
    """Decode one text of a key; raises ValueError that never shows the text."""
    prefix, _, encoded = text.strip().partition("_")
    if prefix == "whsk":
        raise ValueError("this is a private key (whsk_): give its public half (whpk_) to those who verify")
    if prefix not in ("whsec", "whpk") or not encoded:
        raise ValueError("expected whsec_ or whpk_ and base64")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"what follows {prefix}_ is not base64") from None
    if prefix == "whsec" and not 24 <= len(raw) <= 64:
        raise ValueError(f"a secret is 24 to 64 bytes, not {len(raw)}")
    if prefix == "whpk" and len(raw) != 32:
        raise ValueError(f"an Ed25519 public key is 32 bytes, not {len(raw)}")
    return Verifier(name, "v1" if prefix == "whsec" else "v1a", raw)


def _refusal(private: str) -> Reject:
    return Reject("the request's signature is missing or not valid", 401, "signature", private=private)


def _check_form(form: Form, body: bytes) -> None:
    """Refuse forms in which a signed body could be read in two ways."""
    if form is Form.BINARY:
        detail = "binary mode is not accepted here: its attributes are not signed; send structured mode"
        raise Reject(detail, 400, "signature")
    # The content type is not signed. A CloudEvent replayed as plain JSON would get another identity.
    if form is Form.PLAIN and b'"specversion"' in body and "specversion" in msgspec.json.decode(body):
        detail = "a CloudEvent is sent as application/cloudevents+json, not as application/json"
        raise Reject(detail, 400, "signature")


def _read(request: Request) -> Signed:
    """Take the signed parts out of the request; raises Reject."""
    headers = request.headers
    names = ("id", "timestamp", "signature")
    family = "webhook"  # never a mixture of both
    if not any(f"webhook-{name}" in headers for name in names) and "svix-id" in headers:
        family = "svix"
    ident, timestamp, signature = (headers.get(f"{family}-{name}", "") for name in names)
    if not (ident and timestamp and signature):
        raise _refusal(f"a {family}- header is missing")
    if not _ID.match(ident):
        raise _refusal("the id is not 1 to 256 visible characters without dot and comma")
    if not _TIMESTAMP.match(timestamp):
        raise _refusal("the timestamp is not an integer")
    if len(signature) > MAX_HEADER or signature.count(" ") >= MAX_ITEMS:
        raise _refusal("too many signatures")
    items = [item.partition(",") for item in signature.split(" ")]
    signatures = [(version, text.encode("latin-1", "replace")) for version, _, text in items]
    received = request.body if request.received is None else request.received
    message = f"{ident}.{timestamp}.".encode("ascii") + received
    return Signed(ident, int(timestamp), message, signatures)


def _match(signed: Signed, verifiers: Sequence[Verifier]) -> str | None:
    """Return the name of the first key that made one of the signatures."""
    budget = MAX_PUBLIC_CHECKS
    for verifier in verifiers:
        given = [text for version, text in signed.signatures if version == verifier.version]
        if verifier.version == "v1":
            # Comparing the text, not the decoded bytes, also refuses altered base64 padding bits.
            expected = base64.b64encode(hmac.digest(verifier.secret, signed.message, "sha256")) if given else b""
            if any(hmac.compare_digest(expected, text) for text in given):
                return verifier.key
            continue
        for text in given:
            budget -= 1
            if budget < 0:
                return None
            if _is_ed25519(verifier.secret, signed.message, text):
                return verifier.key
    return None


def _is_ed25519(public: bytes, message: bytes, text: bytes) -> bool:
    try:
        signature = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    if len(signature) != 64 or base64.b64encode(signature) != text:
        return False
    try:
        VerifyKey(public).verify(message, signature)
    except BadSignatureError:
        return False
    return True


@hookimpl
def eventstream_steps() -> Sequence[type[Step]]:
    """Offer `verify`."""
    return [VerifyStep]
