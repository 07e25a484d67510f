"""No acknowledged event is lost, none is delivered twice or out of order, whatever is killed."""

from pathlib import Path

from crash.chaos import Chaos


def test_nothing_is_lost_or_repeated_while_workers_and_the_group_are_killed(tmp_path: Path):
    result = Chaos(tmp_path).run(12, group_kills=1)
    assert result["kills"] >= 5
    assert result["acknowledged"] > 100
    assert result["reconnects"] > 20
    assert result["heads"] >= 3
