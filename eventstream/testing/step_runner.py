"""Steps built from YAML-like values and run over events, as the server would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from eventstream import UNSET, ConfigError, Context, Drop, Event, Outcome, Problem, Reject, Step, StepError
from eventstream.hooks.catalogue import Catalogue, build_catalogue
from eventstream.hooks.manager import load_plugins
from eventstream.testing.services import PlainServices

StepValue = str | Mapping[str, Any]  # a bare name, or a map of one name and its options


@cache
def installed() -> Catalogue:
    """Return what the installed plugins offer; found once."""
    return build_catalogue(load_plugins())


def plain_node(folder: str | Path) -> PlainServices:
    """Return services for tests with a store and a ledger in memory."""
    services = PlainServices(folder)
    offer = installed().get("store", "memory")
    if offer is not None:
        services.store = offer.component.create()
        services.store.open(services)
        services.ledger = services.store.open_ledger()
    return services


class StepRunner:
    """What the fixture `run_steps` is: call it with steps and data.

    `services` is what the steps are opened with: set `services.keys`, `services.clock` or
    `services.folder` before the call. `context` is the Context of the last call.
    """

    def __init__(self, services: PlainServices) -> None:
        """Take the services that steps will be opened with."""
        self.services = services
        self.context = Context()
        self._open: list[Step] = []

    def __call__(self, steps: Sequence[StepValue], events: Any = UNSET, **context: Any) -> Any:
        """Run data, an event or a list of events through the steps, in their order.

        Data and a single event give the resulting event, or raise its Reject or Drop; a list of events
        is a batch and gives the list of outcomes. Other arguments are fields of the Context:
        `run_steps(["limit"], {"a": 1}, client="192.0.2.1")`.
        """
        self.context = Context(**{"pipeline": "test", **context})
        built = [self.build(value) for value in steps]
        if isinstance(events, list | tuple) and events and all(isinstance(one, Event) for one in events):
            return self._run(built, list(events))
        event = events if isinstance(events, Event) else Event(id="1", source="/test", type="test", data=events)
        (outcome,) = self._run(built, [event])
        if isinstance(outcome, Reject | Drop):
            raise outcome
        return outcome

    def build(self, value: StepValue) -> Step:
        """Build, check and open one step; raises ConfigError and msgspec.ValidationError."""
        name, options = (value, None) if isinstance(value, str) else next(iter(value.items()))
        offer = installed().get("step", name)
        if offer is None:
            raise ConfigError([Problem(f"there is no step {name}", hint=installed().nearest("step", name))])
        step: Step = offer.component.create(options)
        problems = [
            one if isinstance(one, Problem) else Problem(one)
            for one in step.check(self.services.folder, self.services.keys)
        ]
        if any(one.severity == "error" for one in problems):
            raise ConfigError(problems)
        step.open(self.services)
        self._open.append(step)
        return step

    def close(self) -> None:
        """Close every step that was opened."""
        while self._open:
            self._open.pop().close()

    def _run(self, steps: Sequence[Step], events: Sequence[Event]) -> list[Outcome]:
        outcomes: list[Outcome] = list(events)
        for index, step in enumerate(steps):
            alive = [(place, one) for place, one in enumerate(outcomes) if isinstance(one, Event)]
            results = step.process_batch([one for _, one in alive], self.context)
            name = f"steps[{index}].{step.name}"
            if len(results) != len(alive):
                raise StepError(name, f"{len(alive)} events in, {len(results)} outcomes out")
            for (place, _), result in zip(alive, results, strict=True):
                if not isinstance(result, Event | Reject | Drop):
                    raise StepError(name, f"returned {type(result).__name__}, not an event")
                outcomes[place] = result
        return outcomes
