import os
import subprocess
import sys

import pytest
from bench.processes import Process, ServerFailed, cpu_seconds, memory_bytes, tree

BUSY = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(30_000_000))']); sys.stdin.read()"


def test_the_cpu_time_of_children_that_are_alive_counts():
    parent = subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE)
    try:
        seen = 0.0
        while parent.poll() is None and seen < 0.1:
            seen = max(seen, cpu_seconds([parent.pid]))
        assert seen >= 0.1
        assert memory_bytes([parent.pid]) > 2**20
    finally:
        parent.stdin.close()
        parent.wait()


def test_a_tree_has_its_roots_and_leaves_out_who_is_gone():
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert tree([os.getpid(), gone.pid])[0] in {os.getpid(), gone.pid}
    assert gone.pid not in tree([gone.pid])


def test_a_server_that_ends_says_its_last_words(tmp_path):
    process = Process([sys.executable, "-c", "raise SystemExit('no such port')"], tmp_path)
    with pytest.raises(ServerFailed, match=r"(?s)ended with 1.*no such port"):
        process.wait_port(1)
    process.stop()


def test_a_stop_leaves_nothing_behind(tmp_path):
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    process = Process([sys.executable, "-c", stubborn], tmp_path)
    while "up" not in process.log.read_text():
        process.running()
    process.stop(seconds=0.1)
    assert tree([process.pid]) == []
