"""The generator against the bare server: what it counts is what was sent."""

import http.server
import json
import os
import shutil
import socket
import tempfile
import threading
from pathlib import Path

import pytest
from bench import cache
from bench.cases.shared import flaws
from bench.generator import MARK, Ask, Generator, GeneratorFailed, compact, event, get, masked, order, post
from bench.peers import Bare

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None and not os.environ.get("EVENTSTREAM_ALL_TOOLS"), reason="needs a C compiler"
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(cache, "CACHE", tmp_path_factory.getbasetemp() / "cache")


@pytest.fixture
def generator(tmp_path):
    with Generator(tmp_path) as started:
        yield started


@pytest.fixture
def bare(tmp_path):
    with Bare().running(tmp_path) as server:
        yield server


def test_an_order_has_the_size_asked_for_and_one_mark():
    assert len(compact(order(250))) == 250
    assert compact(event(250)).count(MARK) == 1


def test_requests_are_whole():
    assert post("/x", "body").endswith(b"Content-Length: 4\r\n\r\nbody")
    assert get("/x", Last_Event_ID="7") == b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\nLast-Event-ID: 7\r\n\r\n"
    assert masked("hi") == b"\x81\x82\x00\x00\x00\x00hi"
    assert masked("x" * 200)[:4] == b"\x81\xfe\x00\xc8"


@pytest.mark.parametrize("transport", ["sse", "websocket"])
@pytest.mark.parametrize("window", [1, 16])
def test_every_delivery_is_counted_once(generator, bare, transport, window):
    assert generator.open(bare.port, 20, bare.subscribe(transport))["opened"] == 20
    found = generator.publish(bare.port, bare.publish(), events=50, window=window, connections=4, receivers=20)
    assert (found["deliveries"], found["expected"], flaws(found)) == (1000, 1000, 0)


def test_what_does_not_come_is_a_flaw(generator, bare):
    generator.open(bare.port, 3, bare.subscribe("sse"))
    found = generator.publish(bare.port, bare.publish(), events=2, seconds=0.1, receivers=2)
    assert flaws(found) == 2  # three got it where two should: two deliveries too many


def test_every_mark_of_a_batch_is_an_event(generator, bare):
    generator.open(bare.port, 2, bare.subscribe("sse"))
    found = generator.publish(bare.port, post("/", compact([event(250)] * 30)), events=4, receivers=2)
    assert (found["requests"], found["events"], found["deliveries"]) == (4, 120, 240)


def test_streams_can_be_numbered(generator, bare):
    ask = Ask(get("/stream-########"))
    assert generator.open(bare.port, 3, ask)["refused"] == 0


def test_a_rate_is_kept(generator, bare):
    found = generator.publish(bare.port, bare.publish(), events=20, rate=200)
    assert found["requests"] == 20
    assert found["seconds"] >= 19 / 200


def test_a_request_that_is_not_answered_well_has_failed(generator):
    class Refuse(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Refuse) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            found = generator.publish(server.server_port, post("/", compact(event(250))), events=3)
            generator.close()
        finally:
            server.shutdown()
            thread.join()
    assert found["failed"] == 3
    assert "503" in generator.complaints()


def test_the_time_until_an_event_needs_the_event():
    listener = socket.create_server(("127.0.0.1", 0))
    answers = [b"HTTP/1.1 200 OK\r\n\r\ndata: @0000000000000001@ ", b"data: @0000000000000002@", b""]

    def serve(connections):
        for _ in range(connections):
            stream, _ = listener.accept()
            with stream:
                stream.recv(4096)
                for part in answers:
                    stream.sendall(part)

    thread = threading.Thread(target=serve, args=(4,))
    thread.start()
    with listener, tempfile.TemporaryDirectory() as name, Generator(Path(name)) as generator:
        port = listener.getsockname()[1]
        assert generator.until(port, get("/"), marks=2, repeats=3)["reached"] == 3
        assert generator.until(port, get("/"), marks=3, repeats=1)["reached"] == 0
        thread.join()


def test_an_unknown_command_ends_it(tmp_path):
    with Generator(tmp_path) as started, pytest.raises(GeneratorFailed, match="unknown command: nonsense"):
        started._command("nonsense")


def test_answers_are_json(generator):
    assert json.dumps(generator.watch(0.01))
