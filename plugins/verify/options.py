"""Options of `verify`."""

from typing import Annotated, Any, Literal

from eventstream import Config, Duration, Filter, Meta

SchemeName = Literal["standard-webhooks", "message-signatures", "github", "ed25519"]
MESSAGE_SIGNATURES = "message-signatures"
_OF_MESSAGES = {"components": None, "nonce": True, "tag": None, "origin": None}  # what only that scheme has: defaults

Pattern = Annotated[str, Meta(pattern=r"^[^*]+\*?$")]
Component = Annotated[str, Meta(pattern=r"^@?[a-z0-9!#$%&'+.^_`|~-]{1,64}$")]


class Require(Config, frozen=True):
    """Which events must be signed: those that match any of these patterns."""

    type: Annotated[
        Annotated[list[Pattern], Meta(min_length=1, max_length=50)] | None,
        Meta(description="Types, exact or with a trailing `*`.", examples=[["shop.order.*"]]),
    ] = None
    source: Annotated[
        Annotated[list[Pattern], Meta(min_length=1, max_length=50)] | None,
        Meta(description="Sources, exact or with a trailing `*`.", examples=[["/till/*"]]),
    ] = None

    def __post_init__(self) -> None:
        if not self.type and not self.source:
            raise ValueError("name at least one type or source; leave `require` out to require all")

    def filters(self) -> list[Filter]:
        """Return one filter per attribute: an event that any of them matches must be signed."""
        return [Filter({name: given}) for name, given in (("type", self.type), ("source", self.source)) if given]


class VerifyConfig(Config, frozen=True):
    """Options of `verify`."""

    keys: Annotated[
        list[str],
        Meta(
            description="Owners or ids of keys; a signature by any key of theirs will do.",
            min_length=1,
            examples=[["shop"]],
        ),
    ]
    scheme: Annotated[
        SchemeName,
        Meta(description="How requests or events are signed.", examples=["standard-webhooks", MESSAGE_SIGNATURES]),
    ] = "standard-webhooks"
    tolerance: Annotated[
        Duration,
        Meta(
            description="How far the signed time may be from now, both ways: `webhook-timestamp`, `created` of "
            "message-signatures, the event's `time` of ed25519. github signs no time.",
            examples=["5m"],
        ),
    ] = Duration(300)
    require: Annotated[
        Require | None,
        Meta(
            description="Which events must be signed; others pass unsigned, as nobody's. Default: all events. "
            "A signature that is there must be good in any case.",
            examples=[{"type": ["shop.order.*"]}],
        ),
    ] = None
    components: Annotated[
        list[Component] | None,
        Meta(
            description="message-signatures: what a signature must cover, besides each header that says what the "
            "events are. Default: `@method`, `@path`, `content-digest`.",
            examples=[["@method", "@authority", "@path", "content-digest"]],
        ),
    ] = None
    nonce: Annotated[
        bool,
        Meta(
            description="message-signatures: whether each signature must carry a nonce. Without one, the same "
            "signature is still taken only once."
        ),
    ] = True
    tag: Annotated[
        str | None,
        Meta(description="message-signatures: the `tag` that each signature must carry.", examples=["orders"]),
    ] = None
    origin: Annotated[
        Annotated[str, Meta(pattern=r"^https?://[^/?#@ ]+$")] | None,
        Meta(
            description="message-signatures: scheme and host under which senders know this server, for `@scheme`, "
            "`@authority` and `@target-uri`. Needed behind a proxy that changes `Host`. Default: the request's "
            "`Host`, with either scheme.",
            examples=["https://events.example.com"],
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.tolerance <= 0:
            raise ValueError("tolerance: must be greater than 0")
        if len(set(self.keys)) != len(self.keys):
            raise ValueError("keys: a key is named twice")
        for name, default in _OF_MESSAGES.items():
            given: Any = getattr(self, name)
            if given != default and self.scheme != MESSAGE_SIGNATURES:
                raise ValueError(f"{name}: only for scheme {MESSAGE_SIGNATURES}")
        if self.components is not None and "content-digest" not in self.components:
            raise ValueError("components: content-digest must be among them, or the body is not signed")
