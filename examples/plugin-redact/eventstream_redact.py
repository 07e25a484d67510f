"""Event-Stream plugin: the step `redact`."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from eventstream import Config, Context, Event, Meta, Step, hookimpl


class RedactConfig(Config, frozen=True):
    """Options of `redact`."""

    fields: Annotated[
        list[str], Meta(description="Names to remove from the data's top level.", min_length=1, examples=[["password"]])
    ]


class Redact(Step):
    """Remove named fields from the event's data.

    Data that is no JSON object has no fields and passes as it is.
    """

    name = "redact"
    Config = RedactConfig
    config: RedactConfig
    examples: ClassVar[list[Any]] = [{"fields": ["password"]}]

    def process(self, event: Event, context: Context) -> Event:
        """Return the event without those fields."""
        if not isinstance(event.data, dict):
            return event
        return event.replace(data={name: value for name, value in event.data.items() if name not in self.config.fields})


@hookimpl
def eventstream_steps() -> Sequence[type[Step]]:
    """Offer `redact`."""
    return [Redact]
