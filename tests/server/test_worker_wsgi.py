"""The app under plain gunicorn: another worker class (the fallback iterator), and ours."""

import os
import subprocess
import sys

import httpx
import pytest
from httpx_sse import connect_sse

from eventstream.testing.process import wait_for

CONFIG = """
version: 1
store:
  sqlite: {path: events.db}
pipelines:
  - name: default
    steps: [persist, fan_out]
outputs:
  - sse: {path: /events, heartbeat: 1s}
  - websocket: {path: /events/ws}
"""
WORKERS = {
    "gthread": ["-k", "gthread", "--threads", "8"],
    "ours": ["-k", "eventstream.server.worker.EventStreamWorker"],
}


BOOT = """
import os, signal
from pathlib import Path
from eventstream.server.wsgi import create_app

def app():
    if not Path("told").exists():
        Path("told").touch()
        os.kill(os.getpid(), signal.SIGTERM)
    return create_app("pipelines.yaml")
"""


@pytest.fixture(scope="module", params=WORKERS)
def url(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    yield from run(folder, WORKERS[request.param], 'eventstream.server.wsgi:create_app("pipelines.yaml")')


@pytest.fixture
def told_url(tmp_path):
    """A server whose first worker is told to stop while it boots."""
    (tmp_path / "boot.py").write_text(BOOT)
    yield from run(tmp_path, WORKERS["ours"], "boot:app()")


def run(folder, worker, app):
    (folder / "pipelines.yaml").write_text(CONFIG)
    words = [
        sys.executable, "-m", "gunicorn", "-b", "127.0.0.1:0", "--no-control-socket", "--graceful-timeout", "3",
        *worker, app,
    ]  # fmt: skip
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(words, cwd=folder, stdout=out, stderr=out, env={**os.environ})

    def address():
        assert process.poll() is None, log.read_text()
        lines = [line for line in log.read_text().splitlines() if "Listening at: " in line]
        return lines and lines[0].partition("Listening at: ")[2].split()[0].rstrip(",")

    found = wait_for(address, "gunicorn to listen")
    wait_for(lambda: answers(found), "the worker")
    yield found
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
        raise
    assert "Traceback" not in log.read_text()


def answers(url):
    try:
        return httpx.get(f"{url}/-/health", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def test_it_takes_events_and_streams_them(url):
    with httpx.Client(base_url=url, timeout=10) as client:
        cursors = [client.post("/events", json={"type": "wsgi", "data": i}).json()["cursor"] for i in range(3)]
        with connect_sse(client, "GET", "/events", params={"type": "wsgi", "after": cursors[0]}) as source:
            assert source.response.status_code == 200
            frames = (frame for frame in source.iter_sse() if frame.event == "message")
            assert [next(frames).id, next(frames).id] == cursors[1:]
            live = httpx.post(f"{url}/events", json={"type": "wsgi", "data": "live"}).json()["cursor"]
            assert next(frames).id == live


def test_a_worker_that_is_told_to_stop_while_it_boots_ends_quietly(told_url):
    assert answers(told_url)  # the next one; the fixture looks into the log


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "application/json"}, b"{", 400),
        ({"Content-Type": "application/json"}, b" " * (2**20 + 1), 413),
        ({"Content-Type": "text/plain"}, b"x", 415),
        ({"Content-Type": "application/json", "Host": "evil.example"}, b"{}", 421),
        ({"Content-Type": "application/json", "Transfer-Encoding": "chunked"}, b"zz\r\n", 400),
    ],
)
def test_it_refuses_as_ever(url, headers, body, status):
    reply = httpx.post(
        f"{url}/events", content=iter([body]) if "Transfer-Encoding" in headers else body, headers=headers
    )
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
