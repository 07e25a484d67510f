"""The step `fan_out`: the events of this pipeline are delivered to subscribers."""

from collections.abc import Sequence

from eventstream import Context, Event, Step, hookimpl


class FanOut(Step):
    """Deliver the event to every subscriber whose filter matches.

    Behind `persist` the event is delivered in store order, once per connection, and can be resumed and
    replayed. Without `persist` it is ephemeral: delivered at most once to who is connected now, at most
    64 KiB, never replayed; the producer gets 202. This step is a mark that the pipeline's end carries
    out, so it stands last.
    """

    name = "fan_out"
    mark = "fan_out"

    def process(self, event: Event, context: Context) -> Event:
        """Return the event as it is: the pipeline's end delivers it."""
        return event


@hookimpl
def eventstream_steps() -> Sequence[type[Step]]:
    """Offer `fan_out`."""
    return [FanOut]
