"""The step `drop`: end events that match a condition quietly."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from eventstream import Config, Context, Drop, Event, Filter, FilterError, Meta, Step, hookimpl

AttributeName = Annotated[str, Meta(pattern="^[a-z0-9]{1,64}$")]
Patterns = Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1)]


class DropConfig(Config, frozen=True):
    """Options of `drop`."""

    when: Annotated[
        dict[AttributeName, Annotated[str, Meta(min_length=1)] | Patterns],
        Meta(
            description="Attributes and the values that match: exact, a prefix with a trailing `*`, or a list of "
            "these. Every attribute named must match; one that the event lacks does not.",
            examples=[{"type": "test.*"}, {"source": ["/probe", "/canary*"], "subject": "ping"}],
            min_length=1,
        ),
    ]
    reason: Annotated[
        str,
        Meta(description="The word under which it is counted.", pattern="^[a-z0-9_]{1,32}$", examples=["test"]),
    ] = "dropped"


class DropStep(Step):
    """End every event that matches `when`, and tell its producer nothing is wrong.

    The event is neither stored nor delivered; it is counted under `reason`. Events that do not match go
    on unchanged. Use `reject` instead when the producer should learn of it. It looks at attributes only,
    never at `data`.
    """

    name = "drop"
    Config = DropConfig
    config: DropConfig
    examples: ClassVar[list[Any]] = [
        {"when": {"type": "test.*"}},
        {"when": {"source": ["/probe", "/canary*"]}, "reason": "probe"},
    ]

    def __init__(self, config: DropConfig) -> None:
        super().__init__(config)
        when = config.when
        try:
            self._when = Filter({name: [value] if isinstance(value, str) else value for name, value in when.items()})
        except FilterError as error:
            raise ValueError(f"when: {error}") from None

    def process(self, event: Event, context: Context) -> Event:
        """Return the event, or raise Drop when it matches."""
        if self._when.matches(event):
            raise Drop(self.config.reason)
        return event


@hookimpl
def eventstream_steps() -> Sequence[type[Step]]:
    """Offer `drop`."""
    return [DropStep]
