"""What became of one request's events."""

from __future__ import annotations

from collections.abc import Sequence

from eventstream.components.output import Result, Stored
from eventstream.components.step import Context
from eventstream.errors import Reject
from eventstream.events.codec import Incoming

UNPUBLISHED = Reject("not published, since another event of the batch was refused", status=424, reason="atomic")


class Published:
    """One result for each event, in order, and what its steps want in the reply's head."""

    __slots__ = ("contexts", "headers", "refusals", "results")

    def __init__(self, items: Sequence[Incoming | Reject]) -> None:
        """Begin with the refusals of what could not be read; the others are not published yet."""
        self.results: list[Result] = [item if isinstance(item, Reject) else UNPUBLISHED for item in items]
        self.headers: dict[str, str] = {}
        self.contexts: list[Context] = []  # of the pipelines that were run
        # By position; what merely was not published beside them is none.
        self.refusals = {i: item for i, item in enumerate(items) if isinstance(item, Reject)}

    @property
    def refused(self) -> list[tuple[int, Reject]]:
        """The refusals with their positions, in order."""
        return sorted(self.refusals.items())

    def refuse(self, position: int, refusal: Reject) -> None:
        """Set one event's result to a refusal."""
        self.results[position] = self.refusals[position] = refusal

    def take_back(self) -> None:
        """Promise nothing beside a refusal, but what had been stored before."""
        self.results = [
            result if isinstance(result, Reject) or (isinstance(result, Stored) and result.duplicate) else UNPUBLISHED
            for result in self.results
        ]
