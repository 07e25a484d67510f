"""An idle subscriber is a socket and a cursor; one that left is nothing."""

from crash.idle import POOLED, run


def test_idle_subscribers_are_small_and_leave_nothing_behind(tmp_path):
    measured = run(tmp_path, idle=2000, cycles=20_000)
    assert measured["bytes_each"] <= 2048, measured
    assert measured["descriptors_growth"] <= POOLED, measured
    assert measured["growth_kib"] <= 4096, measured  # the allocator's own; 0.25 KiB left behind by each would show
