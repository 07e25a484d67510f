"""SIGHUP is a transaction: a new generation as a whole, or nothing."""

import http.client
import json
import os
import signal
import socket
import threading

import httpx
import pytest

from eventstream.testing.process import wait_for

CONFIG = """
version: 1
server: {{drain: 5s, workers: 2{server}}}
store: {{sqlite: {{path: {path}}}}}
pipelines: [{{name: {name}, steps: [persist, fan_out]}}]
outputs: [{{sse: {{path: /events, heartbeat: 1s}}}}]
"""


def config(name="one", path="data/events.db", server=""):
    return CONFIG.format(name=name, path=path, server=server)


def test_a_faulty_file_changes_nothing_and_every_problem_is_logged_with_its_place(serve, reload, admin, stream):
    server = serve(config())
    before = server.workers()
    open_stream = stream(f"{server.url}/events")
    server.config.write_text(config().replace("persist", "persits").replace("heartbeat", "hartbeat"))
    assert not reload(server)
    problems = [entry["problem"] for entry in server.events("reload_refused")]
    assert len(problems) == 2
    assert all(f"{server.config}:" in problem for problem in problems)
    assert any("did you mean persist?" in problem for problem in problems)
    assert server.workers() == before
    assert not open_stream.ended, (open_stream.error, open_stream.text)
    refused = admin("/-/config")[1]
    assert refused["generation"] == 1
    assert refused["last_reload_refused"]["problems"] == problems
    server.config.write_text(config("two"))
    assert reload(server)
    running = admin("/-/config")[1]
    assert (running["generation"], running["pipelines"], running["last_reload_refused"]) == (2, ["two"], None)


def test_streams_are_told_to_come_back_and_resume(serve, reload, stream):
    server = serve(config())
    streams = [stream(f"{server.url}/events") for _ in range(4)]
    httpx.post(f"{server.url}/events", json={"type": "t", "data": 1}, timeout=10)
    server.config.write_text(config("two"))
    assert reload(server)
    for one in streams:
        wait_for(lambda one=one: one.ended, "the stream to end")
        assert one.error is None
        assert one.text.rstrip("\n").splitlines()[-1].startswith("retry:")
        assert [event["data"] for event in one.data()] == [1]


@pytest.fixture
def producers():
    """Run keep-alive producers in threads; counts what they got."""
    stop = threading.Event()
    threads, counts = [], {"ok": 0, "closed": 0, "errors": []}
    lock = threading.Lock()

    def produce(port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        fresh = True
        while not stop.is_set():
            try:
                connection.request("POST", "/events", json.dumps({"type": "t"}), {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
            except (http.client.RemoteDisconnected, ConnectionError) as error:
                # An idle connection may close just as a request is sent on it: HTTP clients retry on a new one.
                with lock:
                    counts["errors" if fresh else "closed"] += [repr(error)] if fresh else 1
                connection.close()
                fresh = True
                continue
            with lock:
                if response.status == 201:
                    counts["ok"] += 1
                else:
                    counts["errors"].append(response.status)
            fresh = response.will_close
            if fresh:
                connection.close()
        connection.close()

    def start(port, number=8):
        for _ in range(number):
            threads.append(threading.Thread(target=produce, args=(port,)))
            threads[-1].start()
        return counts

    def finish():
        stop.set()
        for thread in threads:
            thread.join(25)
        return counts

    yield start, finish
    finish()


def test_four_reloads_under_load_answer_every_request(serve, reload, producers):
    start, finish = producers
    server = serve(config())
    start(server.port)
    for number in range(4):
        server.config.write_text(config(f"p{number}"))
        assert reload(server)
    wait_for(lambda: len(server.events("drained")) == 8, "the old workers to end")
    counts = finish()
    assert counts["errors"] == []
    assert counts["ok"] > 100
    assert counts["closed"] <= 8
    assert all(entry["requests_cut"] == 0 for entry in server.events("drained"))
    page = httpx.get(f"{server.url}/events?limit=1", timeout=10).json()
    stored = int(page["latest"].rpartition("-")[2])
    assert counts["ok"] <= stored <= counts["ok"] + counts["closed"]


def test_a_generation_whose_store_cannot_open_is_rolled_back(serve, reload, admin, tmp_path):
    server = serve(config())
    before = server.workers()
    (tmp_path / "other.db").write_bytes(b"this is no database" * 100)
    server.config.write_text(config(path="other.db"))
    assert not reload(server)
    assert "cannot start" in server.events("reload_refused")[0]["problem"]
    assert "other.db" in server.events("worker_cannot_start")[0]["error"]
    assert server.workers() == before
    assert admin("/-/config")[1]["generation"] == 1
    assert httpx.post(f"{server.url}/events", json={"type": "t"}, timeout=10).status_code == 201
    server.config.write_text(config("two"))
    assert reload(server)
    assert httpx.post(f"{server.url}/events", json={"type": "t"}, timeout=10).status_code == 201


def test_options_of_the_command_line_outlive_a_reload(serve, reload):
    server = serve(config(server=", bind: '127.0.0.1:1'"), workers=3)
    server.config.write_text(config("two", server=", bind: '127.0.0.1:2'"))
    assert reload(server)
    wait_for(lambda: len(server.workers()) == 3, "three workers")
    assert httpx.post(f"{server.url}/events", json={"type": "t"}, timeout=10).status_code == 201


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def test_a_changed_address_is_taken_when_it_can_be(serve, reload):
    one, two = free_port(), free_port()
    server = serve(config(server=f", bind: '127.0.0.1:{one}'"), bind=False)
    server.config.write_text(config(server=f", bind: '127.0.0.1:{two}'"))
    assert reload(server)
    assert httpx.post(f"http://127.0.0.1:{two}/events", json={"type": "t"}, timeout=10).status_code == 201
    wait_for(lambda: len(server.events("drained")) == 2, "the old workers to end")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{one}/", timeout=10)
    with socket.create_server(("127.0.0.1", one)):  # somebody else's now
        server.config.write_text(config(server=f", bind: '127.0.0.1:{one}'"))
        assert not reload(server)
        assert f"cannot listen on 127.0.0.1:{one}" in server.events("reload_refused")[0]["problem"]
        assert httpx.post(f"http://127.0.0.1:{two}/events", json={"type": "t"}, timeout=10).status_code == 201
    assert reload(server)
    assert httpx.post(f"http://127.0.0.1:{one}/events", json={"type": "t"}, timeout=10).status_code == 201


def test_a_worker_that_cannot_start_again_does_not_end_the_server(serve, tmp_path):
    server = serve(config())
    database = tmp_path / "data" / "events.db"
    database.rename(tmp_path / "data" / "kept.db")
    database.write_bytes(b"this is no database" * 100)
    killed = server.workers()[0]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: server.events("worker_did_not_start"), "a failed start")
    assert len(server.workers()) == 1
    assert httpx.get(f"{server.url}/-/health", timeout=10).status_code == 200
    database.unlink()
    (tmp_path / "data" / "kept.db").rename(database)
    wait_for(lambda: len(server.workers()) == 2, "the successor", seconds=30)
    assert httpx.post(f"{server.url}/events", json={"type": "t"}, timeout=10).status_code == 201
