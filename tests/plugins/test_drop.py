import msgspec
import pytest

from eventstream import Drop, Event


def event(**fields):
    return Event(**{"id": "1", "source": "/shop", "type": "shop.order.created", **fields})


@pytest.mark.parametrize(
    ("when", "dropped"),
    [
        ({"type": "shop.order.created"}, True),
        ({"type": "shop.*"}, True),
        ({"type": "shop.order"}, False),
        ({"type": ["test.*", "shop.*"]}, True),
        ({"type": "shop.*", "subject": "7"}, False),
        ({"type": "shop.*", "source": "/shop"}, True),
        ({"region": "eu"}, False),
    ],
)
def test_events_that_match_every_pattern_are_dropped(run_steps, when, dropped):
    (outcome,) = run_steps([{"drop": {"when": when, "reason": "test"}}], [event()])
    assert isinstance(outcome, Drop) is dropped
    assert not dropped or outcome.reason == "test"


def test_a_number_or_boolean_is_compared_as_its_text(run_steps):
    given = [event(extensions={"n": 42}), event(extensions={"n": True}), event(extensions={"n": 43})]
    outcomes = run_steps([{"drop": {"when": {"n": ["42", "true"]}}}], given)
    assert [isinstance(one, Drop) for one in outcomes] == [True, True, False]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"when": {}},
        {"when": {"Type": "x"}},
        {"when": {"type": []}},
        {"when": {"type": ""}},
        {"when": {"type": 3}},
        {"when": {"type": [f"t{n}" for n in range(101)]}},
        {"when": {"type": "x"}, "reason": "a sentence with spaces"},
    ],
)
def test_bad_options_are_refused(run_steps, options):
    with pytest.raises((msgspec.ValidationError, ValueError)):
        run_steps([{"drop": options}])
