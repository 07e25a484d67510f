"""The power is cut: what was on the disk at that moment is all there is, and every acknowledged event is in it.

The data folder lies on an ext4 image on a loop device. A copy of the image's file, taken while the
server runs, holds only what was flushed to the device; the server is then started on the copy.
Needs root, for the mounts.
"""

import os
import shutil
import signal
import subprocess

import pytest
from crash.stream import Publisher, Stream

from eventstream.testing.process import ServerProcess

EVENTS = 200
CONFIG = """
version: 1
store:
  sqlite: {path: %s/events.db, durability: %s}
pipelines:
  - name: default
    steps: [persist, fan_out]
outputs:
  - sse: {path: /events, heartbeat: 1s}
"""


@pytest.fixture
def disk(tmp_path):
    """A function that mounts an image (made at its first use) and returns where."""
    mounted = []

    def mount(name):
        image, folder = tmp_path / f"{name}.img", tmp_path / name
        folder.mkdir()
        if not image.exists():
            with image.open("wb") as file:
                file.truncate(64 << 20)
            subprocess.run(["mkfs.ext4", "-q", image], check=True)
        # commit=600: nothing reaches the device by the passing of time
        subprocess.run(["mount", "-o", "loop,commit=600", image, folder], check=True)
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def start(tmp_path, folder, durability):
    config = tmp_path / f"{folder.name}.yaml"
    config.write_text(CONFIG % (folder, durability))
    server = ServerProcess(config, workers=2)
    server.start()
    return server


def cut_power(server, tmp_path):
    """Stop everything where it is, and keep what the device has."""
    os.killpg(server.master, signal.SIGSTOP)
    shutil.copy(tmp_path / "before.img", tmp_path / "after.img")
    os.killpg(server.master, signal.SIGCONT)
    server.kill_group()


@pytest.mark.parametrize("durability", ["fsync", "os"])
def test_what_was_acknowledged_outlives_a_power_cut(disk, tmp_path, durability):
    server = start(tmp_path, disk("before"), durability)
    try:
        with Publisher(server.port) as publisher, Stream(server.port, after="earliest") as stream:
            for _ in range(EVENTS):
                assert publisher.publish()[0] == 201
            assert stream.take(EVENTS) == list(publisher.receipts)
            early, late = publisher.receipts[str(EVENTS // 2)], stream.place
    finally:
        cut_power(server, tmp_path)
    server = start(tmp_path, disk("after"), durability)
    try:
        with Publisher(server.port) as after:
            after.count = 1000
            for _ in range(3):
                assert after.publish()[0] == 201
        if durability == "fsync":
            check_everything(server.port, publisher.receipts, early, late)
        else:
            check_loss(server.port, late)
    finally:
        server.stop()


def check_everything(port, receipts, early, late):
    new = ["1001", "1002", "1003"]
    for last, wanted in ((None, list(receipts)), (early, list(receipts)[EVENTS // 2 :]), (late, [])):
        with Stream(port, last=last, after="earliest") as stream:
            assert stream.take(len(wanted) + 3) == wanted + new
            assert stream.gaps == []


def check_loss(port, late):
    """Without fsync this cut loses events (or the test above would prove nothing), and that is said."""
    with Stream(port, after="earliest") as stream:
        kept = 0
        while stream.take(1) != ["1001"]:
            kept += 1
    assert kept < EVENTS
    with Stream(port, last=late) as stream:
        assert stream.take(3)[-1] == "1003"
        (gap,) = stream.gaps
        assert gap["reason"] == "epoch"
        assert gap["requested"] == late
