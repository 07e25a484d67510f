"""The step `persist`: the events of this pipeline are appended to the store."""

from collections.abc import Sequence

from eventstream import Context, Event, Step, hookimpl


class Persist(Step):
    """Append the event to the store, and answer its producer with a receipt.

    The receipt (201) comes once the event is as durable as the store promises (`durable` says how) and
    has its final place in the one order. With `fan_out` behind it, subscribers then receive the event;
    without, it is stored but delivered to nobody. A pipeline without `persist` answers 202 and promises
    nothing. This step is a mark: the append itself happens once per request, when every step has run,
    so nothing but `fan_out` may stand behind it.

    Errors: 409 when the event's `source` and `id` are taken by other content; 503 with `Retry-After`
    when the store cannot take it now.
    """

    name = "persist"
    mark = "persist"

    def process(self, event: Event, context: Context) -> Event:
        """Return the event as it is: the pipeline's end stores it."""
        return event


@hookimpl
def eventstream_steps() -> Sequence[type[Step]]:
    """Offer `persist`."""
    return [Persist]
