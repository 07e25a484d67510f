"""An idle subscriber is a socket and a cursor; one that left is nothing."""

from crash.idle import run


def test_idle_subscribers_are_small_and_leave_nothing_behind(tmp_path):
    measured = run(tmp_path, idle=2000, cycles=20_000)
    print(measured)
    assert measured["bytes_each"] <= 2048, measured
    assert measured["descriptors_growth"] <= 1, measured
    assert measured["growth_kib"] <= 2048, measured  # 0.1 KiB a cycle would show
