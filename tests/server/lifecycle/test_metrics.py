"""`/-/metrics` of a running server, over all its workers."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import httpx
import pytest
from httpx_sse import connect_sse

from eventstream.testing.process import wait_for

CONFIG = """
version: 1
store: {sqlite: {path: data/events.db}}
pipelines:
  - name: limited
    match: {type: "limited.*"}
    steps: [{limit: {rate: 1/h, burst: 1}}, persist, fan_out]
  - name: default
    steps: [{set: {subject: s}}, persist, fan_out]
outputs: [{sse: {path: /events, heartbeat: 1s}}, {websocket: {path: /events/ws}}]
"""


def metrics(server):
    text = httpx.get(f"{server.url}/-/metrics", timeout=10).text
    return text, dict(re.findall(r"^(\w+(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE))


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def settled(server, **wanted):
    """Wait until each worker has carried its counts over, once a second."""

    def look():
        found = metrics(server)[1]
        return all(float(found.get(name, 0)) == value for name, value in wanted.items())

    wait_for(look, f"metrics to be {wanted}", seconds=10)


def test_everything_is_counted_over_all_workers(serve):
    server = serve(CONFIG)
    with httpx.Client(base_url=server.url, timeout=10) as client:
        with connect_sse(client, "GET", "/events") as source:
            frames = source.iter_sse()
            next(frames)
            for number in range(20):
                assert httpx.post(f"{server.url}/events", json={"type": "t", "data": number}).status_code == 201
            for _ in range(3):
                httpx.post(f"{server.url}/events", json={"type": "limited.x"})
            seen = 0
            while seen < 21:
                seen += next(frames).event == "message"
            settled(server, **{
                'eventstream_events_received_total{form="plain"}': 23,
                "eventstream_events_stored_total": 21,
                "eventstream_events_sent_total": 21,
                'eventstream_refusals_total{reason="quota"}': 2,
                'eventstream_subscribers{output="sse"}': 1,
                'eventstream_step_events_total{step="pipelines.default.steps[0].set"}': 20,
                "eventstream_store_append_seconds_count": 21,
                'eventstream_store{name="head"}': 21,
            })  # fmt: skip
            found = metrics(server)[1]
            assert float(found["eventstream_bytes_received_total"]) > 20 * 20
            assert float(found["eventstream_bytes_sent_total"]) > 21 * 100
            assert float(found["eventstream_memory_bytes"]) > 2**24
            for name in ("eventstream_lag_events", "eventstream_loop_lag_seconds", "eventstream_subscribers_lagging",
                         'eventstream_store{name="ids_window"}'):  # fmt: skip
                assert name in found
        settled(server, **{'eventstream_subscribers{output="sse"}': 0})


def test_counters_survive_killed_workers_and_their_gauges_vanish(serve, kill_worker):
    server = serve(CONFIG)
    for number in range(10):
        assert httpx.post(f"{server.url}/events", json={"type": "t", "data": number}).status_code == 201
    settled(server, eventstream_events_stored_total=10)
    with httpx.Client(base_url=server.url, timeout=10) as client, connect_sse(client, "GET", "/events") as source:
        frames = source.iter_sse()  # keeps the stream open
        next(frames)
        settled(server, **{'eventstream_subscribers{output="sse"}': 1})
        for worker in server.workers():
            os.kill(worker, signal.SIGKILL)
        wait_for(lambda: len(server.events("worker_ready")) == 4, "the successors")
    settled(server, eventstream_events_stored_total=10, **{'eventstream_subscribers{output="sse"}': 0})
    for _ in range(3):
        kill_worker(server)
    settled(server, eventstream_events_stored_total=10)
    both = sum(resident(worker) for worker in server.workers())
    wait_for(
        lambda: 0 < float(metrics(server)[1]["eventstream_memory_bytes"]) < 1.3 * both, "only live workers counted"
    )


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is a Debian package; tests/clients demands it")
def test_promtool_finds_nothing_to_say(serve):
    server = serve(CONFIG)
    httpx.post(f"{server.url}/events", json={"type": "t"})
    text, _ = metrics(server)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
