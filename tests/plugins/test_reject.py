import msgspec
import pytest

from eventstream import Event, Reject


def test_a_match_is_refused_with_its_status_and_words(run_steps):
    options = {"when": {"type": "internal.*"}, "detail": "not here", "status": 403}
    with pytest.raises(Reject) as caught:
        run_steps([{"reject": options}], Event(id="1", source="/a", type="internal.ping"))
    refusal = caught.value
    assert (refusal.status, refusal.detail, refusal.reason) == (403, "not here", "condition")
    assert [(fault.pointer, fault.detail) for fault in refusal.faults] == [("/type", "not here")]


def test_others_pass_unchanged(run_steps):
    given = Event(id="1", source="/a", type="public.ping", data={"x": 1})
    assert run_steps([{"reject": {"when": {"type": "internal.*"}}}], given) == given


def test_only_the_matching_part_of_a_batch_is_refused(run_steps):
    given = [Event(id=str(n), source="/a", type="t", subject=str(n)) for n in range(3)]
    outcomes = run_steps([{"reject": {"when": {"subject": "1"}}}], given)
    assert [isinstance(one, Reject) for one in outcomes] == [False, True, False]


@pytest.mark.parametrize("status", [399, 500, "403"])
def test_a_status_is_the_senders_fault(run_steps, status):
    with pytest.raises(msgspec.ValidationError):
        run_steps([{"reject": {"when": {"type": "x"}, "status": status}}])
