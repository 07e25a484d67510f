"""Faults of the disk itself: full, read-only (EROFS), failing on fsync or write. Needs root, mounts and strace."""

import signal
import subprocess

import pytest
from crash.stream import Publisher, Stream

from eventstream.testing.process import ServerProcess, wait_for

CONFIG = """
version: 1
store:
  sqlite: {path: disk/events.db}
pipelines:
  - name: default
    steps: [persist, fan_out]
outputs:
  - sse: {path: /events, heartbeat: 1s}
"""


@pytest.fixture
def disk(tmp_path):
    """A file system of 4 MiB in memory; the ledger takes 2 of them."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def server(disk, tmp_path):
    config = tmp_path / "pipelines.yaml"
    config.write_text(CONFIG)
    with ServerProcess(config, workers=1) as server:
        yield server


def remount(disk, options):
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


def publish_until_refused(publisher):
    while True:
        status, headers, body = publisher.publish(size=20_000)
        if status != 201:
            assert status == 503, body
            assert int(headers["Retry-After"]) >= 1
            return
        assert publisher.count < 200


def check_recovery(server, publisher):
    """The refused event is taken at last, and everything acknowledged is there, once, in order."""
    refused = publisher.count
    wait_for(lambda: publisher.again(refused)[0] in (200, 201), "the store to take events again")
    assert publisher.publish()[0] == 201
    with Stream(server.port, after="earliest") as stream:
        assert stream.take(len(publisher.receipts)) == list(publisher.receipts)
        assert stream.gaps == []
    assert len(server.workers()) == 1


def test_a_full_disk(server, disk):
    with Publisher(server.port) as publisher:
        publish_until_refused(publisher)
        assert "is full" in server.log()
        remount(disk, "size=8m")
        check_recovery(server, publisher)


@pytest.mark.parametrize(
    ("calls", "error"), [("fdatasync,fsync", "EIO"), ("pwrite64", "EROFS"), ("pwrite64", "ENOSPC"), ("pwrite64", "EIO")]
)
def test_a_system_call_that_fails(server, calls, error):
    with Publisher(server.port) as publisher, Stream(server.port, after="earliest") as stream:
        assert publisher.publish()[0] == 201
        (worker,) = server.workers()
        words = ["strace", "-f", "-p", str(worker), "-e", f"trace={calls}"]
        fault = f"inject={calls}:error={error}"
        strace = subprocess.Popen([*words, "-e", fault], stderr=subprocess.PIPE, text=True)
        try:
            assert "attached" in strace.stderr.readline()
            for _ in range(3):
                status, headers, body = publisher.publish()
                assert status == 503, body
                assert int(headers["Retry-After"]) >= 1
        finally:
            strace.send_signal(signal.SIGINT)
            strace.communicate(timeout=20)
        assert "cannot append" in server.log()
        assert "SQLITE_" in server.log()
        # What was refused may have been written all the same; asked again, it is taken once.
        for number in (2, 3, 4):
            assert publisher.again(number)[0] in (200, 201)
        ids = stream.take(4)
        assert sorted(ids) == ["1", "2", "3", "4"]
        assert publisher.publish()[0] == 201
        assert stream.take(1) == ["5"]
