"""Subscribers that stop reading cost bounded memory, and lose nothing."""

from crash.stalled import run


def test_stalled_subscribers_cost_bounded_memory_and_get_everything_later(tmp_path):
    measured = run(tmp_path, stalled=200, events=20_000, pad=500, rate=5000)
    # The tail (16 MiB and a quarter), joined chunks (16), pages of the replay (8), ends of frames: 64 at most.
    assert measured["memory_mib_with_healing"] < 112, measured
