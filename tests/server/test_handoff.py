import gevent
import pytest

from eventstream.errors import Reject
from eventstream.http.exchange import HANDOFF
from eventstream.server.handoff import BoundedInput, offer
from eventstream.testing.raw_http import RawClient


class Body:
    """What gunicorn gives as `wsgi.input`, as far as it is used."""

    def __init__(self, *parts, pause=0.0):
        self.parts = list(parts)
        self.pause = pause

    def read(self, size=None):
        gevent.sleep(self.pause)
        data = b"".join(self.parts)
        size = len(data) if size is None else size
        self.parts = [data[size:]]
        return data[:size]


@pytest.mark.parametrize(
    ("length", "sizes", "finished"),
    [
        (0, [], True),
        (5, [], False),
        (5, [5], True),
        (5, [3], False),
        (5, [3, 2], True),
        (5, [10], True),
        (5, [-1], True),
        (9, [9], True),
        (None, [], False),
        (None, [5], False),
        (None, [6], True),
        (None, [-1], True),
    ],
)
def test_it_knows_whether_anything_of_the_body_is_left(length, sizes, finished):
    """A connection may be kept only when the whole body was read."""
    body = BoundedInput(Body(b"abcde"), 1.0, length=length)
    for size in sizes:
        body.read(size)
    assert body.finished == finished


def test_a_body_that_takes_too_long_is_408():
    body = BoundedInput(Body(b"abc", pause=30.0), 0.05, length=3)
    with pytest.raises(Reject) as caught:
        body.read(3)
    assert caught.value.status == 408
    assert caught.value.headers == {"Connection": "close"}
    assert not body.finished


def test_a_socket_s_own_timeout_is_the_same_refusal():
    class Stalled(Body):
        def read(self, size=None):
            raise TimeoutError("timed out")

    with pytest.raises(Reject) as caught:
        BoundedInput(Stalled(), 1.0, length=3).read(3)
    assert caught.value.status == 408


@pytest.mark.parametrize(
    ("environ", "finished"),
    [
        ({}, True),
        ({"CONTENT_LENGTH": ""}, True),
        ({"CONTENT_LENGTH": "0"}, True),
        ({"CONTENT_LENGTH": "1"}, False),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, False),
    ],
)
def test_the_slot_and_the_bounded_input_are_offered(environ, finished):
    environ["wsgi.input"] = Body(b"")
    slot, body = offer(environ, 1.0)
    assert environ[HANDOFF] is slot
    assert environ["wsgi.input"] is body
    assert body.finished == finished
    assert slot.take is None
    environ[HANDOFF](print, chunked=True)
    assert slot.take is print


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_stream_has_no_length_and_its_connection_is_its_own(short_server, version):
    with RawClient(short_server.port) as client:
        client.send(f"GET /events HTTP/{version}\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n".encode())
        head = client.head()
        assert head.status == 200
        assert head.headers["connection"] == "close"
        assert head.headers.get("transfer-encoding") == ("chunked" if version == "1.1" else None)
        assert "content-length" not in head.headers
        assert client.read_until(b"\n\n").startswith(b"retry: ")


def test_what_follows_a_stream_s_request_is_ignored(short_server):
    with RawClient(short_server.port) as client:
        client.send(
            b"GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\nGET /-/health HTTP/1.1\r\n"
        )
        client.head()
        client.send(b"Host: localhost\r\n\r\n" + b"x" * 100_000)
        assert b"HTTP/1.1" not in client.read_until(b"\n\n") + client.read_until(b":\n")
