import pytest

from eventstream import Event, Reject
from eventstream.testing.step_runner import installed


def event(**fields):
    return Event(**{"id": "1", "source": "/shop", "type": "order", **fields})


def test_constants_and_copies(run_steps):
    result = run_steps([{"set": {"subject": "all", "region": {"from": "source"}, "level": 3, "hot": True}}], event())
    assert result == event(subject="all", extensions={"region": "/shop", "level": 3, "hot": True})


def test_copies_see_the_event_as_it_came(run_steps):
    given = event(extensions={"a": "1", "b": "2"})
    swapped = run_steps([{"set": {"a": {"from": "b"}, "b": {"from": "a"}}}], given)
    assert dict(swapped.extensions) == {"a": "2", "b": "1"}


def test_a_missing_attribute_gives_the_default_or_leaves_the_target(run_steps):
    steps = [{"set": {"subject": {"from": "nowhere"}, "tenant": {"from": "nowhere", "default": "none"}}}]
    assert run_steps(steps, event(subject="kept")) == event(subject="kept", extensions={"tenant": "none"})


def test_numbers_become_text_where_only_text_may_stand(run_steps):
    result = run_steps([{"set": {"subject": {"from": "n"}}}], event(extensions={"n": True}))
    assert result.subject == "true"


@pytest.mark.parametrize(
    ("target", "value"), [("time", "yesterday"), ("source", "no uri"), ("type", "eventstream.gap"), ("subject", "")]
)
def test_a_copy_that_would_break_the_event_is_refused(run_steps, target, value):
    with pytest.raises(Reject) as caught:
        run_steps([{"set": {target: {"from": "x"}}}], event(extensions={"x": value}))
    assert caught.value.status == 422
    assert [fault.pointer for fault in caught.value.faults] == ["/x"]
    assert target in caught.value.faults[0].detail


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"id": "1"},
        {"specversion": "1.0"},
        {"data": "x"},
        {"cursor": "x"},
        {"datacontenttype": "text/plain"},
        {"Bad-Name": "x"},
        {"time": "soon"},
        {"source": "no uri"},
        {"subject": ""},
        {"n": 2**31},
        {"n": 1.5},
        {"a": "line\nbreak"},
        {"a": {"from": "b", "default": "\x00"}},
        {"a": {"to": "b"}},
    ],
)
def test_what_can_be_judged_early_is_refused_at_check(options):
    with pytest.raises(ValueError):  # noqa: PT011  # msgspec's error is a ValueError; the step's own names the field
        installed().get("step", "set").component.create(options)


def test_changing_what_an_envelope_is_bound_to_is_a_warning():
    steps = installed().offers["step"]
    encrypt = steps["encrypt"].component.create({"to": ["a"]})
    set_ = steps["set"].component
    assert "type" in set_.create({"type": "other"}).lint([encrypt])
    assert "subject" in set_.create({"subject": "other"}).lint([encrypt])
    assert set_.create({"region": "other"}).lint([encrypt]) is None
    assert set_.create({"type": "other"}).lint([]) is None
