"""The step `limit`: rates per source, key, client or attribute, exact across all workers."""

import hashlib
import ipaddress
import json
import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar

from eventstream import (
    Config,
    Context,
    Event,
    Ledger,
    Meta,
    Outcome,
    Rate,
    Reject,
    Services,
    Step,
    Take,
    hookimpl,
)

QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"


class LimitConfig(Config, frozen=True):
    """Options of `limit`."""

    rate: Annotated[
        Rate, Meta(description="How many events a bucket gets back over time.", examples=["100/s", "30/m"])
    ] = Rate(1000)
    burst: Annotated[
        Annotated[int, Meta(ge=1, le=10**9)] | None,
        Meta(
            description="How many events a full bucket holds. Default: two seconds' worth, at least 1.", examples=[200]
        ),
    ] = None
    by: Annotated[
        str,
        Meta(
            description="Whose bucket pays: `client` (the address; an IPv6 client counts by its /64), `key` (the "
            "key that `verify` found), or an attribute such as `source` or `subject`.",
            pattern="^[a-z0-9]{1,64}$",
            examples=["client", "key", "source"],
        ),
    ] = "client"
    name: Annotated[
        Annotated[str, Meta(pattern="^[A-Za-z0-9_.-]{1,64}$")] | None,
        Meta(
            description="Name of the policy in the RateLimit fields. Limits of the same name, rate, burst and `by` "
            "share their buckets in all pipelines; without a name a limit is its pipeline's own.",
            examples=["daily"],
        ),
    ] = None


class LimitStep(Step):
    """Refuse events that come faster than `rate`, beyond a `burst`.

    Each client (or key, or value of an attribute) has a bucket of `burst` tokens that refills at `rate`.
    An event costs one token, a batch its length, all or nothing per bucket. The buckets live in the
    ledger, so the limit holds over all workers. Events without the attribute share one bucket. The
    reply carries `RateLimit` and `RateLimit-Policy` (draft-10).

    Errors: 429 with `Retry-After` when the bucket has too little; 413 with the bound when a request has
    more events for one bucket than the burst, since it would never fit; 401 for `by: key` when no step
    has verified a key; 503 when the ledger cannot answer.
    """

    name = "limit"
    Config = LimitConfig
    config: LimitConfig
    fail_closed = True
    examples: ClassVar[list[Any]] = [
        {},
        {"rate": "100/s", "burst": 200, "by": "key"},
        {"rate": "30/m", "burst": 60, "by": "source", "name": "sources"},
    ]

    def __init__(self, config: LimitConfig | None = None) -> None:
        super().__init__(config)
        self.rate = float(self.config.rate)
        self.burst = self.config.burst or max(1, math.ceil(2 * self.rate))
        self.policy = self.config.name or "default"
        window = max(1, math.ceil(self.burst / self.rate))
        self._policy_field = f'"{self.policy}";q={self.burst};w={window}'

    def open(self, services: Services) -> None:
        """Take the ledger."""
        self._ledger: Ledger = services.ledger

    def process(self, event: Event, context: Context) -> Event:
        """Take one token; raises Reject."""
        (outcome,) = self.process_batch([event], context)
        if isinstance(outcome, Event):
            return outcome
        raise outcome

    def process_batch(self, events: Sequence[Event], context: Context) -> list[Outcome]:
        """Take from each bucket what its events cost; a bucket that refuses refuses all of them."""
        if self.config.by == "key" and context.key is None:
            detail = "a limit by key needs a signed request"
            return [Reject(detail, 401, "signature", private="no verify step found a key") for _ in events]
        wanted = self._buckets(events, context)
        outcomes: list[Outcome] = list(events)
        lowest: Take | None = None
        for bucket, places in wanted.items():
            if len(places) > self.burst:
                _refuse(outcomes, places, self._too_many(len(places)))
                continue
            take = self._ledger.take(bucket, len(places), rate=self.rate, burst=self.burst)
            if lowest is None or (take.taken, take.remaining) < (lowest.taken, lowest.remaining):
                lowest = take
            if take.taken:
                context.undo.append(self._give_back(bucket, len(places)))
            else:
                _refuse(outcomes, places, self._exceeded(take, context))
        if lowest is not None:
            context.headers.update(self._fields(lowest, context))
        return outcomes

    def lint(self, before: Sequence[Step]) -> str | None:
        """Warn of a limit by key without a key, and of one that charges twice."""
        if self.config.by == "key" and not any(step.name == "verify" for step in before):
            return "limit by key before verify: no key is known here, every event is refused; put verify before it"
        if any(isinstance(step, LimitStep) and step.config == self.config for step in before):
            return "the same limit stands twice and charges each event twice; give one of them a name"
        return None

    def _buckets(self, events: Sequence[Event], context: Context) -> dict[str, list[int]]:
        """Return the places of the events that each bucket pays for."""
        by = self.config.by
        if by in ("client", "key") and events:  # one bucket pays for all
            value = _network(context.client) if by == "client" else context.key
            return {self._bucket(value, context): list(range(len(events)))}
        wanted: dict[str, list[int]] = {}
        for place, event in enumerate(events):
            wanted.setdefault(self._bucket(event.get(by), context), []).append(place)
        return wanted

    def _bucket(self, value: str | int | None, context: Context) -> str:
        """Name a bucket: bounded in length whatever the sender wrote."""
        by = self.config.by
        shared = [self.config.name] if self.config.name else [None, context.pipeline]
        text = json.dumps([*shared, by, self.rate, self.burst, value])
        return "limit:" + hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def _give_back(self, bucket: str, amount: int) -> Callable[[], None]:
        def undo() -> None:
            self._ledger.take(bucket, -amount, rate=self.rate, burst=self.burst)

        return undo

    def _too_many(self, amount: int) -> Callable[[], Reject]:
        detail = f"{amount} events at once, at most {self.burst} fit this limit: send smaller batches"
        return lambda: Reject(detail, 413, "too_large", members={"limit": self.burst})

    def _exceeded(self, take: Take, context: Context) -> Callable[[], Reject]:
        wait = max(1, math.ceil(take.wait))
        headers = {"Retry-After": str(wait), **self._fields(take, context)}
        members = {"violated-policies": [self.policy]}
        detail = f"the quota {self.policy} is used up: try again in {wait} s"
        return lambda: Reject(detail, 429, "quota", headers=headers, type=QUOTA_EXCEEDED, members=members)

    def _fields(self, take: Take, context: Context) -> dict[str, str]:
        """Return the RateLimit fields, with those of earlier limits before our own."""
        seconds = take.reset if take.taken else take.wait
        # A ledger may count in floats: 0.9999999 tokens are one.
        left, until = math.floor(take.remaining + 1e-6), math.ceil(seconds - 1e-3)
        state = f'"{self.policy}";r={max(0, left)};t={max(0, until)}'
        own = {"RateLimit": state, "RateLimit-Policy": self._policy_field}
        earlier = context.headers
        return {name: f"{earlier[name]}, {text}" if name in earlier else text for name, text in own.items()}


def _refuse(outcomes: list[Outcome], places: Sequence[int], make: Callable[[], Reject]) -> None:
    for place in places:
        outcomes[place] = make()


def _network(client: str) -> str:
    """Return the address that counts as one client: a whole /64 in IPv6, where one host owns it all."""
    if ":" not in client:
        return client
    try:
        address = ipaddress.IPv6Address(client.partition("%")[0])
    except ValueError:
        return client
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))


@hookimpl
def eventstream_steps() -> Sequence[type[Step]]:
    """Offer `limit`."""
    return [LimitStep]
