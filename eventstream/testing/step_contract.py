"""What every step promises, as a suite: subclass StepContract and set `step`."""

# ruff: noqa: D102, S101  # a suite is made of asserts, and a test's name says what it shows

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from eventstream import Context, Drop, Event, Outcome, Problem, Reject, Step
from eventstream.testing.services import PlainServices
from eventstream.testing.step_runner import plain_node


def samples() -> list[Event]:
    """Return events of every shape, new ones each time."""
    order = {"order": 7, "lines": [{"sku": "a", "n": 1.5}]}
    return [
        Event(id="1", source="/shop", type="shop.order.created", data=order),
        Event(id="2", source="/shop", type="shop.order.created", data={"order": 8}, subject="8", extensions={"n": 1}),
        Event(id="3", source="/probe", type="test.ping"),
        Event(id="4", source="/probe", type="test.ping", data=None, time="2026-01-31T12:00:00Z"),
        Event(id="5", source="https://example.com/x", type="text", data="grün\u2028\n", datacontenttype="text/plain"),
        Event(id="6", source="/camera", type="image", data=b"\x00\xff", datacontenttype="image/png"),
        Event(id="7", source="/shop", type="shop.order.created", data=[1, [2, [3]], {"a": None}, True]),
    ]


class StepContract:
    """The promises of a step, tried with each of its examples.

    Override the methods below where a step needs more than the defaults: keys, files, a signed request.
    """

    step: ClassVar[type[Step]]

    def make_services(self, folder: Path) -> PlainServices:
        """Return fresh services, with the keys and files that the examples name."""
        return plain_node(folder)

    def make_context(self) -> Context:
        """Return a fresh context, with the request that the step needs."""
        return Context(pipeline="contract", client="192.0.2.1", key="shop")

    def make_events(self) -> Sequence[Event]:
        """Return events to run, new ones each time."""
        return samples()

    def comparable(self, outcome: Outcome) -> Any:
        """Return what must be equal between a batch and its events one by one."""
        if isinstance(outcome, Reject):
            return "reject", outcome.status, outcome.reason, tuple(outcome.faults)
        return ("drop", outcome.reason) if isinstance(outcome, Drop) else outcome

    def test_it_is_described(self) -> None:
        assert self.step.__doc__
        assert self.step.name
        assert self.step.examples or self.step().config is not None

    def test_each_example_passes_check(self, tmp_path: Path) -> None:
        services = self.make_services(tmp_path)
        for example in self._examples():
            found = self.step.create(example).check(services.folder, services.keys)
            assert [one for one in found if not isinstance(one, Problem) or one.severity == "error"] == []

    def test_an_unknown_option_is_refused(self) -> None:
        for example in self._examples():
            options = {**example, "no_such_option": 1} if isinstance(example, Mapping) else {"no_such_option": 1}
            with pytest.raises(msgspec.ValidationError):
                self.step.create(options)

    def test_a_batch_is_the_same_events_one_by_one(self, tmp_path: Path) -> None:
        for number, example in enumerate(self._examples()):
            batch = self._run(tmp_path / f"{number}-batch", example, together=True)
            single = self._run(tmp_path / f"{number}-single", example, together=False)
            assert [self.comparable(one) for one in batch] == [self.comparable(one) for one in single], example

    def test_every_outcome_is_an_event_or_its_end(self, tmp_path: Path) -> None:
        for number, example in enumerate(self._examples()):
            outcomes = self._run(tmp_path / str(number), example, together=True)
            assert len(outcomes) == len(self.make_events())
            assert all(isinstance(one, Event | Reject | Drop) for one in outcomes), outcomes

    def test_an_empty_batch_has_no_outcomes(self, tmp_path: Path) -> None:
        for number, example in enumerate(self._examples()):
            assert self._run(tmp_path / str(number), example, together=True, events=()) == []

    def test_events_are_never_changed_in_place(self, tmp_path: Path) -> None:
        for number, example in enumerate(self._examples()):
            events = self.make_events()
            self._run(tmp_path / str(number), example, together=True, events=events)
            assert events == self.make_events(), example

    def test_close_may_come_twice_or_without_open(self, tmp_path: Path) -> None:
        for number, example in enumerate(self._examples()):
            self.step.create(example).close()
            step = self._opened(tmp_path / str(number), example)
            step.close()
            step.close()

    def _examples(self) -> list[Any]:
        return list(self.step.examples) or [None]

    def _opened(self, folder: Path, example: Any) -> Step:
        folder.mkdir(exist_ok=True)
        step = self.step.create(example)
        step.open(self.make_services(folder))
        return step

    def _run(
        self, folder: Path, example: Any, *, together: bool, events: Sequence[Event] | None = None
    ) -> list[Outcome]:
        step, context = self._opened(folder, example), self.make_context()
        given = self.make_events() if events is None else events
        try:
            if together:
                return step.process_batch(given, context)
            return [_end_of(step, event, context) for event in given]
        finally:
            step.close()


def _end_of(step: Step, event: Event, context: Context) -> Outcome:
    try:
        return step.process(event, context)
    except (Reject, Drop) as end:
        return end
