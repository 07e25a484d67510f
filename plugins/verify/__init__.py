"""The step `verify`: signatures of requests and of events, judged over the bytes as received."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from eventstream import Context, Event, Keys, Outcome, Problem, Reject, Request, Services, Step, hookimpl
from eventstream_plugins.verify.event_signature import EventSignature
from eventstream_plugins.verify.github import GitHub
from eventstream_plugins.verify.message_signatures import MessageSignatures
from eventstream_plugins.verify.options import VerifyConfig
from eventstream_plugins.verify.scheme import RequestScheme
from eventstream_plugins.verify.standard_webhooks import StandardWebhooks
from eventstream_plugins.verify.trust import judge_names, refusal

SCHEMES: dict[str, type[RequestScheme | EventSignature]] = {
    "standard-webhooks": StandardWebhooks,
    "message-signatures": MessageSignatures,
    "github": GitHub,
    "ed25519": EventSignature,
}


class VerifyStep(Step):
    """Accept only what a known key has signed.

    - `standard-webhooks`: the headers `webhook-id`, `webhook-timestamp` and `webhook-signature` (or `svix-…`)
      sign the id, the time and the raw body; `v1` with a key `whsec_…`, `v1a` with `whpk_…`. A plain body's
      id becomes its `webhook-id`, its time the `webhook-timestamp`, so a sender's retry is a repeat.
    - `message-signatures`: HTTP Message Signatures (RFC 9421) with Content-Digest (RFC 9530), by Ed25519 or
      HMAC-SHA256; `keyid` names the key. Every form of body; each signature is good for one request.
    - `github`: `X-Hub-Signature-256` over the raw body, with a key of notation `text`. GitHub's own bodies
      become events of type `com.github.` and the event's name, their id made of the body.
    - `ed25519`: the event carries its own signature in the attributes `signature` and `signaturekey`, over
      its canonical form (RFC 8785). Works in every form, in batches and over a WebSocket; all events of a
      request have one signer.

    A key's owner may have several keys, and a request several signatures, while either side rotates: one
    match is enough. A plain event's source is `/keys/` and the owner. The owner is known to later steps
    (`limit: {by: key}`).

    Errors: 401 with one text for every fault of a signature; the log names the fault. 400 where only the
    body is signed, for binary mode and for a CloudEvent sent as plain `application/json`. An event that came
    without a request is unsigned, for all schemes but `ed25519`.
    """

    name = "verify"
    Config = VerifyConfig
    config: VerifyConfig
    fail_closed = True
    identifies = True
    examples: ClassVar[list[Any]] = [
        {"scheme": "standard-webhooks", "keys": ["shop"]},
        {"keys": ["shop", "till"], "tolerance": "2m", "require": {"type": ["shop.order.*"]}},
        {"scheme": "message-signatures", "keys": ["shop"], "origin": "https://events.example.com", "tag": "orders"},
        {"scheme": "github", "keys": ["shop"]},
        {"scheme": "ed25519", "keys": ["meter"], "tolerance": "1h"},
    ]

    def __init__(self, config: VerifyConfig) -> None:
        super().__init__(config)
        self._scheme = SCHEMES[config.scheme](config)
        self._required = config.require.filters() if config.require is not None else None
        self.needs_request = isinstance(self._scheme, RequestScheme) and config.require is None

    def check(self, folder: str, keys: Keys) -> Iterable[Problem]:
        """Judge the named keys: known, of the right kind, meant for this."""
        return judge_names(self.config.keys, self._scheme.kinds, keys)

    def open(self, services: Services) -> None:
        """Keep what tells the keys and the time."""
        self._scheme.open(services)

    def claims(self, request: Request) -> bool:
        """Tell whether the request carries a signature of this scheme."""
        return isinstance(self._scheme, RequestScheme) and self._scheme.claims(request)

    def attributes(self, request: Request) -> Mapping[str, str] | None:
        """Return the attributes of the event whose data the body is, if the scheme's senders post such bodies."""
        return self._scheme.attributes(request) if isinstance(self._scheme, RequestScheme) else None

    def process(self, event: Event, context: Context) -> Event:
        """Return the event once it or its request is verified; raises Reject."""
        (outcome,) = self.process_batch([event], context)
        if isinstance(outcome, Event):
            return outcome
        raise outcome

    def process_batch(self, events: Sequence[Event], context: Context) -> list[Outcome]:
        """Judge the request once for all its events, or each event; whoever signed is in `context.key`."""
        if not events:
            return []
        if isinstance(self._scheme, EventSignature):
            accept = self._of_events(self._scheme, context)
        else:
            accept = self._of_request(self._scheme, context)
        return [_outcome(accept, event) for event in events]

    def _of_request(self, scheme: RequestScheme, context: Context) -> Callable[[Event], Event]:
        """Judge the request; return what is done with each of its events."""
        request, form = context.request, context.form
        if request is None or not scheme.claims(request):
            return lambda event: self._unsigned(event, scheme.challenge)
        try:
            verdict = scheme.judge(request, form)
        except Reject as error:
            return _refusing(error, scheme.challenge)
        context.key, context.kid = verdict.key.owner, verdict.key.kid
        return lambda event: verdict.apply(event, form)

    def _of_events(self, scheme: EventSignature, context: Context) -> Callable[[Event], Event]:
        """Return what is done with each event. The first decides who signs: nobody borrows another's name."""
        first: list[str | None] = []

        def accept(event: Event) -> Event:
            if scheme.is_signed(event):
                key = scheme.judge(event)
                owner: str | None = key.owner
            else:
                self._unsigned(event, {})
                owner = None
            if first and first[0] != owner:
                raise refusal("the events before it are signed by somebody else, or by nobody")
            first[:] = [owner]
            if owner is not None:
                context.key, context.kid = owner, key.kid
            return event

        return accept

    def _unsigned(self, event: Event, challenge: Mapping[str, str]) -> Event:
        """Let an unsigned event pass where the policy allows it; raises Reject."""
        if self._required is None or any(required.matches(event) for required in self._required):
            error = refusal("it is not signed")
            error.headers = challenge
            raise error
        return event


def _outcome(accept: Callable[[Event], Event], event: Event) -> Outcome:
    try:
        return accept(event)
    except Reject as error:
        return error


def _refusing(error: Reject, challenge: Mapping[str, str]) -> Callable[[Event], Event]:
    def refuse(event: Event) -> Event:
        headers = challenge if error.status == 401 else {}
        raise Reject(error.detail, error.status, error.reason, headers=headers, private=error.private)

    return refuse


@hookimpl
def eventstream_steps() -> Sequence[type[Step]]:
    """Offer `verify`."""
    return [VerifyStep]
