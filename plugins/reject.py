"""The step `reject`: refuse events that match a condition, and tell the producer why."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from eventstream import Config, Context, Event, Fault, Filter, FilterError, Meta, Reject, Step, hookimpl

AttributeName = Annotated[str, Meta(pattern="^[a-z0-9]{1,64}$")]
Patterns = Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1)]


class RejectConfig(Config, frozen=True):
    """Options of `reject`."""

    when: Annotated[
        dict[AttributeName, Annotated[str, Meta(min_length=1)] | Patterns],
        Meta(
            description="Attributes and the values that match: exact, a prefix with a trailing `*`, or a list of "
            "these. Every attribute named must match; one that the event lacks does not.",
            examples=[{"type": "internal.*"}, {"subject": ["tmp", "tmp/*"]}],
            min_length=1,
        ),
    ]
    detail: Annotated[
        str,
        Meta(
            description="What the producer is told.",
            min_length=1,
            max_length=500,
            examples=["internal events are not taken here"],
        ),
    ] = "events like this are not accepted here"
    status: Annotated[
        int,
        Meta(
            description="The HTTP status, 400 to 499. Senders try again on 404, 408, 409 and 429, so avoid these "
            "for a refusal that is final.",
            ge=400,
            le=499,
            examples=[403],
        ),
    ] = 422


class RejectStep(Step):
    """Refuse every event that matches `when`, with a problem that says why.

    Events that do not match go on unchanged. Use `drop` instead when the producer should not learn of
    it. It looks at attributes only, never at `data`.

    Errors: `status` (422 unless set) with `detail` and a pointer to each attribute named in `when`.
    """

    name = "reject"
    Config = RejectConfig
    config: RejectConfig
    examples: ClassVar[list[Any]] = [
        {"when": {"type": "internal.*"}, "detail": "internal events are not taken here", "status": 403},
        {"when": {"subject": ["tmp", "tmp/*"]}},
    ]

    def __init__(self, config: RejectConfig) -> None:
        super().__init__(config)
        when = config.when
        try:
            self._when = Filter({name: [value] if isinstance(value, str) else value for name, value in when.items()})
        except FilterError as error:
            raise ValueError(f"when: {error}") from None

    def process(self, event: Event, context: Context) -> Event:
        """Return the event, or raise Reject when it matches."""
        if not self._when.matches(event):
            return event
        detail = self.config.detail
        faults = [Fault(detail, pointer=f"/{name}") for name in self.config.when]
        raise Reject(detail, status=self.config.status, reason="condition", faults=faults)


@hookimpl
def eventstream_steps() -> Sequence[type[Step]]:
    """Offer `reject`."""
    return [RejectStep]
