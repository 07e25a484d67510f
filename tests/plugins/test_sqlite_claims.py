import threading

import pytest

from eventstream import StoreBusy
from eventstream.testing.process import wait_for
from eventstream_plugins.sqlite.claims import Claims
from eventstream_plugins.sqlite.facts import Claim, Facts

NOW = 1000.0


@pytest.fixture
def facts(tmp_path):
    facts = Facts(str(tmp_path / "events.db"))
    yield facts
    facts.close()


class Gate:
    """An `offload` that waits before its first call until it is opened, and counts its calls."""

    def __init__(self, error=None):
        self.calls = 0
        self.error = error
        self.open = threading.Event()

    def __call__(self, call):
        self.calls += 1
        if self.calls == 1:
            assert self.open.wait(10)
            if self.error:
                raise self.error
        return call()


def claim_while_one_is_written(claims, gate, keys):
    """Claim a first key, and all others while that is being written; return what each got."""
    got = {}

    def claim(place, key):
        try:
            got[place] = claims.claim(key, NOW, 10)
        except (StoreBusy, ValueError) as error:
            got[place] = error

    threads = [threading.Thread(target=claim, args=given) for given in enumerate(keys)]
    threads[0].start()
    wait_for(lambda: gate.calls == 1, "the first to lead")
    for thread in threads[1:]:
        thread.start()
    wait_for(lambda: len(claims._turns._queue) == len(keys) - 1, "the others to queue")
    gate.open.set()
    for thread in threads:
        thread.join(10)
    return [got[place] for place in range(len(keys))]


def test_claims_that_come_together_share_a_transaction(facts):
    gate = Gate()
    got = claim_while_one_is_written(Claims(facts, gate, lambda: None), gate, [f"k{n}" for n in range(50)])
    assert got == [True] * 50
    assert gate.calls == 2


def test_a_key_asked_for_twice_at_once_is_granted_once(facts):
    gate = Gate()
    got = claim_while_one_is_written(Claims(facts, gate, lambda: None), gate, ["a", "b", "b", "a", "c", "b"])
    assert got[0]
    assert (sum(got), got[3], got[4]) == (3, False, True)
    assert not Claims(facts, lambda call: call(), lambda: None).claim("b", NOW + 9, 10)
    assert Claims(facts, lambda call: call(), lambda: None).claim("b", NOW + 10, 10)


@pytest.mark.parametrize("error", [StoreBusy("full"), ValueError("a bug")])
def test_a_leader_that_fails_takes_nobody_with_it(facts, error):
    gate = Gate(error)
    got = claim_while_one_is_written(Claims(facts, gate, lambda: None), gate, ["a", "b", "c"])
    assert isinstance(got[0], type(error))
    assert got[1:] == [True, True]


def test_whatever_a_key_holds_it_is_granted_once(facts):
    claims = Claims(facts, lambda call: call(), lambda: None)
    for key in ('"', "é\u2028", "[1]", "null", "", "\\u0041", "A", "x" * 10_000, "1"):
        assert [claims.claim(key, NOW, 0.1), claims.claim(key, NOW, 0.1)] == [True, False], key
        assert claims.claim(key, NOW + 0.1, 0.1), key


def test_expired_claims_go_as_fast_as_they_come_together(facts):
    for second in range(100):
        facts.claim([Claim(f"{second}-{number}", NOW + second + 1) for number in range(500)], NOW + second)
    with facts._borrow("count") as connection:
        ((rows,),) = connection.execute("SELECT count(*) FROM claims").fetchall()
    assert rows <= 2000
