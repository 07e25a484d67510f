"""Pipelines: the steps of the file, in the file's own order, as plain calls.

The host owns the order: one pluggy call (`eventstream_process`) runs a batch through a pipeline, and
observers wrap that call; nothing can come between the steps inside.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

from eventstream.components.step import Context, Outcome, Step
from eventstream.config.model import PipelineSpec
from eventstream.errors import Drop, Reject, StepError, StoreBusy
from eventstream.events.event import Event
from eventstream.events.filter import Filter
from eventstream.telemetry.log import get_logger
from eventstream.telemetry.metrics import Metrics, StepTally

log = get_logger("pipeline")

_OUTCOMES = (Event, Reject, Drop)


@dataclass(frozen=True, slots=True)
class PlacedStep:
    """A step and its place in the file."""

    place: str
    step: Step
    drop_on_error: bool
    tally: StepTally


class Pipeline:
    """A compiled pipeline: transforming steps, then what its end does (`persist`, `deliver`)."""

    def __init__(self, spec: PipelineSpec, metrics: Metrics) -> None:
        """Compile; `check` has judged the order."""
        self.name = spec.name
        self.match: Filter = spec.match
        marks = {placed.step.mark for placed in spec.steps}
        self.persist = "persist" in marks
        self.deliver = "fan_out" in marks
        self.identifies = any(placed.step.identifies for placed in spec.steps)
        self.steps = [
            PlacedStep(placed.place, placed.step, placed.on_error == "drop", metrics.step(placed.place))
            for placed in spec.steps
            if placed.step.mark is None
        ]
        self._metrics = metrics

    def process(self, events: Sequence[Event], context: Context, *, atomic: bool) -> list[Outcome]:
        """Run a batch through the steps; one outcome per event, in order.

        With `atomic`, the first step that rejects an event ends the pass: the others stay as they are.
        Raises StepError when a step fails in a way its author did not foresee.
        """
        outcomes: list[Outcome] = list(events)
        live: Sequence[int] = range(len(outcomes))  # the positions of `events` among the outcomes
        for placed in self.steps:
            if not live:
                break
            if placed.step.needs_request and context.request is None:
                refusal = Reject("this event needs a signed HTTP request", status=401, reason="signature")
                results: Sequence[Outcome] = [refusal] * len(live)
            else:
                results = self._run(placed, events, context)
            for i, result in zip(live, results, strict=True):
                outcomes[i] = result
            if are_events(results):
                events = results
                continue
            ended = [i for i in live if not isinstance(outcomes[i], Event)]
            for i in ended:
                outcomes[i] = _ended(placed, outcomes[i])
            if atomic and any(isinstance(outcomes[i], Reject) for i in ended):
                break
            live = [i for i in live if isinstance(outcomes[i], Event)]
            events = [result for result in results if isinstance(result, Event)]
        return outcomes

    def _run(self, placed: PlacedStep, events: Sequence[Event], context: Context) -> Sequence[Outcome]:
        began = time.perf_counter()
        try:
            results = placed.step.process_batch(events, context)
            _check(placed, events, results)
        except (Reject, Drop) as end:  # the step refused the request as a whole
            results = [end] * len(events)
        except (StepError, StoreBusy):
            raise
        except Exception as error:
            fingerprint = self._metrics.error(error)
            log.exception("step_failed", step=placed.place, fingerprint=fingerprint)
            if not placed.drop_on_error:
                raise StepError(placed.place, f"failed with {type(error).__name__}") from error
            results = [Drop("error")] * len(events)
        finally:
            placed.tally.events += len(events)
            placed.tally.seconds += time.perf_counter() - began
        return results


def are_events(results: Sequence[Outcome]) -> TypeGuard[Sequence[Event]]:
    """Tell it of many at once, since this is asked behind each step; False may be wrong for a class of its own."""
    return set(map(type, results)) == {Event}


def _check(placed: PlacedStep, events: Sequence[Event], results: Sequence[Outcome]) -> None:
    if len(results) != len(events):
        raise StepError(placed.place, f"returned {len(results)} outcomes for {len(events)} events")
    for kind in set(map(type, results)):
        if not issubclass(kind, _OUTCOMES):
            raise StepError(placed.place, f"returned {kind.__name__}, not an event (raise Drop to end one)")


def _ended(placed: PlacedStep, end: Outcome) -> Outcome:
    if isinstance(end, Reject) and placed.drop_on_error:
        return Drop(end.reason, placed.place)
    if isinstance(end, Reject | Drop) and not end.step:
        end.step = placed.place
    return end
