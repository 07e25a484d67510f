import msgspec
import pytest

from eventstream.testing.step_runner import installed


def test_a_mark_leaves_the_event_as_it_is(run_steps):
    assert run_steps(["fan_out"], {"a": 1}).data == {"a": 1}


def test_it_is_a_mark_for_the_pipelines_end():
    assert installed().get("step", "fan_out").component.mark == "fan_out"


def test_it_takes_no_options(run_steps):
    with pytest.raises(msgspec.ValidationError):
        run_steps([{"fan_out": {"speed": "fast"}}])
