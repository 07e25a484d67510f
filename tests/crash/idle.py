"""What an idle subscriber costs, and whether coming and going leaves anything behind.

Run by tests/crash/test_idle.py in a small form; the full one: `python tests/crash/idle.py`
(10,000 idle subscribers, 200,000 connect/leave cycles). Prints what it measured.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from crash.stalled import CONFIG, descriptors, memory, open_streams, publish, raise_limit

from eventstream.testing.process import ServerProcess, wait_for

POOLED = 24  # the store keeps a connection for each of the reads that were once under way together


def run(folder: Path, *, idle: int, cycles: int) -> dict[str, float]:
    """Measure one worker."""
    raise_limit()
    config = folder / "pipelines.yaml"
    config.write_text(CONFIG)
    with ServerProcess(config, workers=1) as server:
        (worker,) = server.workers()
        publish(server.port, 1, 1000)
        files = descriptors(worker) + POOLED
        _come_and_go(server.port, 5000)  # whatever is grown once is grown now
        wait_for(lambda: descriptors(worker) <= files, "the first to be gone")
        resident = memory(worker)
        socks = open_streams(server.port, idle)
        each = (memory(worker) - resident) / idle
        for sock in socks:
            sock.close()
        wait_for(lambda: descriptors(worker) <= files, "the idle ones to be gone")
        resident = memory(worker)
        _come_and_go(server.port, cycles)
        wait_for(lambda: descriptors(worker) <= files, "the last to be gone")
        return {
            "idle": idle,
            "bytes_each": round(each),
            "cycles": cycles,
            "growth_kib": (memory(worker) - resident) // 1024,
            "descriptors_growth": descriptors(worker) - files + POOLED,
        }


def _come_and_go(port: int, cycles: int) -> None:
    for _ in range(cycles // 100):
        for sock in open_streams(port, 100):
            sock.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--cycles", type=int, default=200_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        print(run(Path(name), idle=options.idle, cycles=options.cycles))  # noqa: T201  # the script prints what it measured
