import subprocess
import sys

import pytest

from eventstream import ConfigError, Drop, Event, Reject, Step, StepError
from eventstream.testing.step_runner import StepRunner


def test_data_gives_an_event(run_steps):
    assert run_steps([{"set": {"subject": "x"}}, "persist", "fan_out"], {"a": 1}) == Event(
        id="1", source="/test", type="test", subject="x", data={"a": 1}
    )


def test_an_ended_event_is_raised_and_a_batch_is_listed(run_steps):
    steps = [{"drop": {"when": {"type": "a"}}}, {"reject": {"when": {"type": "b"}}}, {"set": {"subject": "s"}}]
    events = [Event(id=name, source="/s", type=name) for name in "abc"]
    with pytest.raises(Drop):
        run_steps(steps, events[0])
    outcomes = run_steps(steps, events)
    assert [type(one) for one in outcomes] == [Drop, Reject, Event]
    assert outcomes[2].subject == "s"


def test_a_list_that_holds_no_events_is_data(run_steps):
    assert run_steps([], [1, 2]).data == [1, 2]
    assert run_steps([], []).data == []


def test_context_is_given_and_kept(run_steps):
    run_steps([{"limit": {"by": "key"}}], {}, key="shop", client="192.0.2.1")
    assert (run_steps.context.key, run_steps.context.client) == ("shop", "192.0.2.1")
    assert "RateLimit" in run_steps.context.headers


def test_an_unknown_step_has_a_hint(run_steps):
    with pytest.raises(ConfigError, match="did you mean validate"):
        run_steps(["validat"], {})


class Broken(Step):
    """A step that forgets to return."""

    name = "broken"

    def process(self, event, context):
        return None

    def process_batch(self, events, context):
        return super().process_batch(events, context)[: self.length]

    length = 2


@pytest.mark.parametrize(("length", "words"), [(2, "returned NoneType"), (1, "2 events in, 1 outcomes out")])
def test_a_step_that_breaks_its_promise_is_named(run_steps, length, words):
    step = Broken()
    step.length = length
    with pytest.raises(StepError, match=rf"steps\[0\]\.broken: {words}"):
        run_steps._run([step], [Event(id=str(n), source="/s", type="t") for n in range(2)])


def test_steps_are_closed_once_the_test_ends(run_steps):
    closed = []

    class Closing(Step):
        name = "closing"

        def close(self):
            closed.append(1)

    runner = StepRunner(run_steps.services)
    runner._open.append(Closing())
    runner.close()
    runner.close()
    assert closed == [1]


def test_the_pytest_plugin_imports_no_server_before_it_is_used():
    code = "import sys, eventstream.testing.plugin; print('eventstream.hooks.manager' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
