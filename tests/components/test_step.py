"""What every step inherits."""

import itertools
import time

import pytest

from eventstream import Context, Drop, Event, Reject, Step

EVENTS = [Event(id=str(number), source="/s", type="t") for number in range(6)]


class Odd(Step):
    name = "odd"

    def process(self, event, context):
        if event.id == "1":
            raise Reject("no")
        if event.id == "2":
            raise Drop
        return event


def test_each_event_of_a_batch_gets_its_own_outcome():
    outcomes = Odd().process_batch(EVENTS, Context())
    assert [type(outcome) for outcome in outcomes] == [Event, Reject, Drop, Event, Event, Event]


@pytest.mark.parametrize(("seconds", "pauses"), [(0.0005, 1), (0.003, 6), (0.0, 0)])
def test_a_long_batch_lets_others_run(monkeypatch, seconds, pauses):
    """Each look at the clock is so many seconds after the last."""
    ticks = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks) * seconds)
    called = []
    Odd().process_batch(EVENTS, Context(pause=lambda: called.append(1)))
    assert len(called) == pauses
