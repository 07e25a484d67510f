"""The seams of gunicorn that the worker stands on, one test each, and what they are for."""

import inspect
import socket

import pytest
from gunicorn import http as gunicorn_http
from gunicorn.config import Config
from gunicorn.http import wsgi as gunicorn_wsgi
from gunicorn.http.errors import NoMoreData
from gunicorn.workers.base_async import AsyncWorker
from gunicorn.workers.ggevent import GeventWorker

from eventstream.server.worker import EventStreamWorker
from eventstream.testing.raw_http import RawClient

REQUEST = b"POST /events?a=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabcREST"


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def parse(ends, data=REQUEST):
    ours, theirs = ends
    theirs.sendall(data)
    theirs.shutdown(socket.SHUT_WR)
    parser = gunicorn_http.get_parser(Config(), ours, ("127.0.0.1", 1))
    return parser, next(parser)


def test_seam_the_parser_counts_its_requests_and_shows_its_buffer(ends):
    parser, request = parse(ends)
    assert request.path == "/events"
    assert parser.req_count == 1
    assert request.body.read(3) == b"abc"
    assert parser.unreader.buf.tell() > 0, "what was read already tells `_await_request` not to wait"
    assert parser.unreader.take_buffered() == b"REST"
    with pytest.raises((NoMoreData, StopIteration)):
        next(parser)


def test_seam_start_response_belongs_to_the_response(ends):
    _, request = parse(ends)
    response, environ = gunicorn_wsgi.create(request, ends[0], ("127.0.0.1", 1), ("127.0.0.1", 2), Config())
    assert response.start_response.__self__ is response
    assert environ["RAW_URI"] == "/events?a=1"
    assert environ["wsgi.input"].read(3) == b"abc"
    for name in ("headers", "chunked", "response_length", "sock", "req"):
        assert hasattr(response, name)
    response.start_response("200 OK", [("Content-Length", "0"), ("X-A", "b")])
    response.force_close()
    response.headers = [header for header in response.headers if header[0].lower() != "content-length"]
    response.response_length = None
    response.send_headers()
    head = ends[1].recv(65536).decode()
    assert "Connection: close" in head
    assert "content-length" not in head.lower()
    assert "chunked" not in head.lower()


def test_seam_handle_request_lets_stop_iteration_end_the_connection():
    source = inspect.getsource(AsyncWorker.handle_request)
    assert "self.is_already_handled(respiter)" in source
    assert "except StopIteration:\n            raise" in source
    theirs, ours = (inspect.signature(kind.handle_request).parameters for kind in (AsyncWorker, EventStreamWorker))
    assert list(theirs) == list(ours)


def test_seam_the_worker_is_built_after_the_fork():
    order = inspect.getsource(GeventWorker.init_process)
    assert order.index("self.patch()") < order.index("super().init_process()")
    for name in ("handle", "handle_request", "is_already_handled", "load_wsgi", "run", "handle_exit"):
        assert callable(getattr(GeventWorker, name)), name


CONFIG = """
version: 1
server:
  limits: {connections: 5, subscribers: 30}
  timeouts: {head: 2s, keep_alive: 2s}
store:
  sqlite: {path: events.db}
pipelines:
  - name: default
    steps: [persist, fan_out]
outputs:
  - sse: {path: /events, heartbeat: 1s}
"""


def open_stream(port):
    client = RawClient(port)
    client.request("GET", "/events", "Accept: text/event-stream")
    assert client.head().status == 200
    return client


def test_streams_take_no_place_of_a_connection_and_have_a_bound_of_their_own(serve):
    server = serve(CONFIG, workers=1)
    streams = [open_stream(server.port) for _ in range(30)]
    try:
        for stream in streams:
            assert b"event: cursor" in stream.read_until(b"\n\n")
        with open_stream(server.port) as one_more:
            turned_away = one_more.read_to_end()
        assert turned_away.startswith(b"retry: ")
        assert b"cursor" not in turned_away
        with RawClient(server.port) as client:
            client.request("POST", "/events", "Content-Type: application/json", body=b'{"type": "to.all"}')
            assert client.reply().status == 201
        for stream in streams:
            assert b'"to.all"' in stream.read_until(b'"to.all"')
    finally:
        for stream in streams:
            stream.socket.close()
    assert server.events("connection_failed") == []
    assert "Traceback" not in server.log()


def test_a_stop_answers_what_is_in_flight_and_ends_streams_with_a_goodbye(serve):
    server = serve(CONFIG, workers=1)
    stream = open_stream(server.port)
    stream.read_until(b"event: cursor")
    with RawClient(server.port) as idle, RawClient(server.port) as halfway, stream:
        idle.request("GET", "/-/health")
        assert idle.reply().status == 200
        halfway.send(
            b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n"
        )
        halfway.send(b'{"type"')
        server.signal(15)
        assert b"retry: " in stream.read_to_end()
        assert idle.read_to_end() == b""
        halfway.send(b': "last"}')
        reply = halfway.reply()
        assert (reply.status, reply.headers["connection"]) == (201, "close")
    assert server.stop() == 0
    assert "Traceback" not in server.log()
