import msgspec
import pytest
from eventstream.testing.step_runner import installed


@pytest.mark.parametrize("name", ["persist", "fan_out"])
def test_a_mark_leaves_the_event_as_it_is(run_steps, name):
    assert run_steps([name], {"a": 1}).data == {"a": 1}


@pytest.mark.parametrize("name", ["persist", "fan_out"])
def test_it_is_a_mark_for_the_pipelines_end(name):
    assert installed().get("step", name).component.mark == name


@pytest.mark.parametrize("name", ["persist", "fan_out"])
def test_it_takes_no_options(run_steps, name):
    with pytest.raises(msgspec.ValidationError):
        run_steps([{name: {"speed": "fast"}}])
