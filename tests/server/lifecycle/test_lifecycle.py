"""Stop, upgrade, hang, and the admin socket."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from eventstream.testing.process import wait_for

SLOW = '''
import time
from pathlib import Path
from gevent import monkey
from eventstream import Step, hookimpl

class Slow(Step):
    """Wait when told to."""

    name = "slow"

    def process(self, event, context):
        if isinstance(event.data, dict) and "wait" in event.data:
            Path(event.data["mark"]).touch()
            sleep = monkey.get_original("time", "sleep") if event.data.get("block") else time.sleep
            sleep(event.data["wait"])
        return event

@hookimpl
def eventstream_steps():
    return [Slow]
'''
CONFIG = """
version: 1
server: {drain: 5s, timeouts: {hang: 2s}}
store: {sqlite: {path: data/events.db}}
pipelines: [{name: default, steps: [slow, persist, fan_out]}]
outputs: [{sse: {path: /events, heartbeat: 1s}}]
"""


@pytest.fixture
def slow(serve, tmp_path):
    plugin = tmp_path / "slow.py"
    plugin.write_text(SLOW)
    return lambda **options: serve(CONFIG, plugins=(str(plugin),), **options)


class Post(threading.Thread):
    """One publish that takes its time."""

    def __init__(self, server, mark, **data):
        super().__init__(daemon=True)
        self.status = None
        self._url = f"{server.url}/events"
        self._body = {"type": "t", "data": {"mark": str(mark), **data}}
        self.start()
        wait_for(mark.exists, "the step to begin")

    def run(self):
        try:
            self.status = httpx.post(self._url, json=self._body, timeout=20).status_code
        except httpx.HTTPError as error:
            self.status = type(error).__name__


def test_a_stop_answers_what_is_in_flight_and_ends_streams(slow, stream, tmp_path):
    server = slow()
    streams = [stream(f"{server.url}/events") for _ in range(3)]
    post = Post(server, tmp_path / "mark", wait=1.0)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 5
    post.join(5)
    assert post.status == 201
    for one in streams:
        wait_for(lambda one=one: one.ended, "the stream to end")
        assert one.error is None
        assert one.text.rstrip("\n").splitlines()[-1].startswith("retry:")
    assert {entry["streams_cut"] for entry in server.events("drained")} == {0}
    assert not (tmp_path / "data" / "admin.sock").exists()


def test_a_stop_does_not_wait_longer_than_its_limit(slow, tmp_path):
    server = slow()
    Post(server, tmp_path / "mark", wait=60)
    began = time.monotonic()
    assert server.stop() == 0
    assert 4 < time.monotonic() - began < 9
    assert sorted(entry["requests_cut"] for entry in server.events("drained")) == [0, 1]


def test_a_worker_that_hangs_is_replaced(slow, tmp_path):
    server = slow()
    before = server.workers()
    Post(server, tmp_path / "mark", wait=60, block=True)
    wait_for(lambda: len(server.workers()) == 2 and server.workers() != before, "the successor", seconds=20)
    assert "WORKER TIMEOUT" in server.log()
    assert httpx.post(f"{server.url}/events", json={"type": "t"}, timeout=10).status_code == 201


def masters(server):
    """Return the processes that listen, in the order of their start."""
    lines = [entry for entry in server.log().splitlines() if "Listening at" in entry]
    return [json.loads(line)["pid"] for line in lines]


@pytest.mark.parametrize("program", ["module", "script"])
def test_an_upgrade_starts_the_program_anew_and_loses_nothing(serve, program):
    words = (sys.executable, "-m", "eventstream")
    if program == "script":
        words = (str(Path(sys.executable).with_name("eventstream")),)
    server = serve(program=words)
    statuses = []
    stop = threading.Event()

    def probe():
        while not stop.is_set():
            try:
                statuses.append(httpx.post(f"{server.url}/events", json={"type": "t"}, timeout=20).status_code)
            except httpx.HTTPError as error:
                statuses.append(repr(error))

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        server.signal(signal.SIGUSR2)
        wait_for(lambda: len(masters(server)) == 2, "the second master", seconds=30)
        new = masters(server)[1]
        wait_for(lambda: len(server.events("worker_ready")) == 4, "its workers")
        assert server.stop() == 0
        seen = len(statuses)
        wait_for(lambda: len(statuses) > seen + 5, "more answers")
        wait_for(lambda: "Master has been promoted" in server.log(), "the promotion")
        assert (server.config.parent / "data" / "admin.sock").exists()
    finally:
        stop.set()
        thread.join(25)
        for pid in masters(server)[1:]:
            os.kill(pid, signal.SIGTERM)
    assert set(statuses) == {201}
    wait_for(lambda: server.log().count("Shutting down") == 2, f"the end of {new}")


# -- the admin socket ----------------------------------------------------------------------------------


def test_the_admin_socket_is_for_its_owner_and_shows_what_runs(serve, admin, tmp_path):
    server = serve()
    path = tmp_path / "data" / "admin.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    status, running = admin("/-/config")
    assert status == 200
    assert running["generation"] == 1
    assert running["file"] == str(server.config)
    assert running["loaded_at"] == pytest.approx(time.time(), abs=60)
    assert admin("/-/health") == (200, {"status": "ok"})
    assert admin("/-/health", headers={"Host": "of.nobody"})[0] == 200
    assert admin("/events", "POST", json.dumps({"type": "t"}), {"Content-Type": "application/json"})[0] == 201


def test_nobody_else_sees_what_the_admin_socket_shows(serve, admin):
    config = """
version: 1
server: {metrics: {public: false}}
store: {sqlite: {path: data/events.db}}
pipelines: [{name: default, steps: [persist, fan_out]}]
"""
    server = serve(config)
    for path in ("/-/health", "/-/ready", "/-/metrics", "/-/config"):
        answer = httpx.get(server.url + path, headers={"X-Forwarded-For": "admin"}, timeout=10)
        assert answer.status_code == 403
        assert answer.json()["status"] == 403
        assert admin(path)[0] == 200


def test_a_place_too_long_for_a_socket_is_no_reason_not_to_serve(serve, tmp_path):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    server = serve(f"""
version: 1
store: {{sqlite: {{path: {deep}/events.db}}}}
pipelines: [{{name: default, steps: [persist, fan_out]}}]
""")
    assert server.events("no_admin_socket")
    assert httpx.post(f"{server.url}/events", json={"type": "t"}, timeout=10).status_code == 201


def test_status_asks_the_running_server(serve, tmp_path):
    server = serve()

    def ask(*words):
        command = [sys.executable, "-m", "eventstream", "status", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    done = ask("--config", str(server.config))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ready"] is True
    assert json.loads(done.stdout)["generation"] == 1
    server.stop()
    done = ask("--config", str(server.config))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"no server answers at {tmp_path}/data/admin.sock" in done.stderr


def test_a_killed_masters_folder_is_removed_by_the_next_one(serve, tmp_path):
    base = Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp")
    server = serve()
    ours = [folder for folder in base.glob("eventstream-*") if list(folder.glob(f"metrics/*_{server.workers()[0]}.db"))]
    assert len(ours) == 1
    server.kill_group()
    assert ours[0].exists()
    server.start()
    assert not ours[0].exists()
