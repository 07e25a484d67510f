import base64
import re

import pytest

from eventstream import Event, Rate, Reject
from eventstream.testing.step_runner import installed


def events(count, **fields):
    return [Event(**{"id": str(n), "source": "/shop", "type": "t", **fields}) for n in range(count)]


def refused(outcomes):
    return [one for one in outcomes if isinstance(one, Reject)]


def limit(**options):
    return [{"limit": {"rate": "1/h", "burst": 3, **options}}]


def test_a_burst_passes_and_the_next_is_refused(run_steps):
    assert refused(run_steps(limit(), events(3))) == []
    (refusal,) = refused(run_steps(limit(), events(1)))
    assert (refusal.status, refusal.reason) == (429, "quota")
    assert refusal.type == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert refusal.members == {"violated-policies": ["default"]}
    assert 3590 <= int(refusal.headers["Retry-After"]) <= 3600
    assert refusal.headers["RateLimit-Policy"] == '"default";q=3;w=10800'
    assert re.fullmatch(r'"default";r=0;t=3[56]\d\d', refusal.headers["RateLimit"])


def test_the_fields_tell_what_is_left(run_steps):
    run_steps(limit(name="daily"), events(2))
    assert run_steps.context.headers["RateLimit-Policy"] == '"daily";q=3;w=10800'
    assert re.fullmatch(r'"daily";r=1;t=7[12]\d\d', run_steps.context.headers["RateLimit"])


def test_two_limits_both_stand_in_the_fields(run_steps):
    run_steps([*limit(name="a"), *limit(name="b")], events(1))
    assert [part.partition(";")[0] for part in run_steps.context.headers["RateLimit"].split(", ")] == ['"a"', '"b"']
    assert run_steps.context.headers["RateLimit-Policy"] == '"a";q=3;w=10800, "b";q=3;w=10800'


def test_a_batch_is_all_or_nothing(run_steps):
    run_steps(limit(), events(2))
    assert len(refused(run_steps(limit(), events(2)))) == 2
    assert refused(run_steps(limit(), events(1))) == []  # the refused batch took nothing


def test_a_batch_over_the_burst_would_never_fit(run_steps):
    outcomes = refused(run_steps(limit(), events(4)))
    assert [one.status for one in outcomes] == [413] * 4
    assert outcomes[0].members == {"limit": 3}
    assert "at most 3" in outcomes[0].detail
    assert refused(run_steps(limit(), events(3))) == []


def test_each_bucket_pays_for_its_own_events(run_steps):
    mixed = [*events(2, source="/a"), *events(4, source="/b"), *events(1, source="/c")]
    outcomes = run_steps(limit(by="source"), mixed)
    assert [isinstance(one, Reject) for one in outcomes] == [False, False, True, True, True, True, False]


def test_an_undo_gives_the_tokens_back(run_steps):
    run_steps(limit(), events(3))
    for undo in run_steps.context.undo:
        undo()
    assert refused(run_steps(limit(), events(3))) == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("", "192.0.2.1", False),
    ],
)
def test_clients_are_told_apart(run_steps, one, other, same):
    run_steps(limit(), events(3), client=one)
    assert bool(refused(run_steps(limit(), events(1), client=other))) is same


def test_by_key_needs_a_key(run_steps):
    (refusal,) = refused(run_steps(limit(by="key"), events(1)))
    assert refusal.status == 401
    assert refused(run_steps(limit(by="key"), events(3), key="shop")) == []
    assert refused(run_steps(limit(by="key"), events(3), key="till")) == []
    assert len(refused(run_steps(limit(by="key"), events(1), key="shop"))) == 1


def test_events_without_the_attribute_share_a_bucket_of_their_own(run_steps):
    run_steps(limit(by="tenant"), events(3))
    assert len(refused(run_steps(limit(by="tenant"), events(1)))) == 1
    assert refused(run_steps(limit(by="tenant"), events(3, extensions={"tenant": "null"}))) == []


def test_a_name_shares_buckets_between_pipelines(run_steps):
    run_steps(limit(), events(3), pipeline="a")
    assert refused(run_steps(limit(), events(3), pipeline="b")) == []
    run_steps(limit(name="all"), events(3), pipeline="a")
    assert len(refused(run_steps(limit(name="all"), events(1), pipeline="b"))) == 1


def test_bare_limit_takes_a_thousand_a_second(run_steps):
    step = run_steps.build("limit")
    assert (step.rate, step.burst) == (1000, 2000)
    assert run_steps.build({"limit": {"rate": "1/h"}}).burst == 1


@pytest.mark.parametrize("options", [{"rate": "0/s"}, {"rate": "fast"}, {"burst": 0}, {"by": "A B"}, {"name": 'a"b'}])
def test_bad_options_are_refused(run_steps, options):
    with pytest.raises(ValueError):  # noqa: PT011  # msgspec's error, whose words are its own
        run_steps.build({"limit": options})


def test_order_is_linted():
    steps = installed().offers["step"]
    by_key = steps["limit"].component.create({"by": "key"})
    verify = steps["verify"].component.create({"keys": ["shop"]})
    assert "verify" in by_key.lint([])
    assert by_key.lint([verify]) is None
    assert "twice" in by_key.lint([verify, steps["limit"].component.create({"by": "key"})])


def test_a_long_or_odd_attribute_is_a_bounded_bucket(run_steps):
    odd = "\u2028" + "x" * 60_000 + base64.b64encode(b"\xff").decode()
    assert refused(run_steps(limit(by="subject"), events(3, subject=odd))) == []
    assert len(refused(run_steps(limit(by="subject"), events(1, subject=odd)))) == 1


def test_tokens_come_back(run_steps):
    assert Rate.parse("1000/s") == 1000
    assert refused(run_steps([{"limit": {"rate": "1000/s", "burst": 1}}], events(1))) == []
    deadline = 1000
    while refused(run_steps([{"limit": {"rate": "1000/s", "burst": 1}}], events(1))):
        deadline -= 1
        assert deadline, "a token never came back"
