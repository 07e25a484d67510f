"""A step that does nothing: what is left is what the pipeline itself costs."""

from eventstream import Context, Event, Step, hookimpl


class Noop(Step):
    """Return the event as it came."""

    name = "noop"

    def process(self, event: Event, context: Context) -> Event:
        """Do nothing."""
        return event


@hookimpl
def eventstream_steps() -> list[type[Step]]:
    """Offer the step."""
    return [Noop]
