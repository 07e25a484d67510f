"""What the plain parser accepts, gunicorn's strict one accepts too, and tells WSGI the same."""

import random
import socket

import pytest
from gunicorn import http as gunicorn_http
from gunicorn.config import Config
from gunicorn.http import wsgi

from eventstream.server.http1 import MAX_HEAD, parse_head

PLAIN = (
    b"POST /events HTTP/1.1\r\nHost: 127.0.0.1:3000\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n",
    b"GET /events?type=a.*&after=x-1 HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nX-A: 1\r\nX-A: 2\r\n\r\n",
    b"GET /a%20b/%C3%A9?q=%00 HTTP/1.1\r\nHost:h\r\nConnection: close\r\nCookie:  spaced \t\r\n\r\n",
    b"OPTIONS /events HTTP/1.1\r\nHost: h\r\nOrigin: https://shop.example\r\nX-Obs: caf\xe9\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nhost: h\r\nconnection: Keep-Alive\r\nempty:\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
)
UNUSUAL = (
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 01\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n folded\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\nX: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX : a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX_A: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX: \x00\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
    b"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: h\r\n\r\n",
    b"BREW / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * MAX_HEAD + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: a\r\n" * 70 + b"\r\n",
)
TOLD = (
    "REQUEST_METHOD", "RAW_URI", "PATH_INFO", "QUERY_STRING", "SERVER_PROTOCOL", "SCRIPT_NAME", "CONTENT_TYPE",
)  # fmt: skip
CONFIG = Config()
CONFIG.set("header_map", "refuse")
CONFIG.set("forwarder_headers", "")


def gunicorn_s(data):
    """Return what gunicorn makes of a head; raises whatever it refuses it with."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data + b"x" * 20)
        theirs.shutdown(socket.SHUT_WR)
        request = next(gunicorn_http.get_parser(CONFIG, ours, ("127.0.0.1", 1)))
        _, environ = wsgi.create(request, ours, ("127.0.0.1", 1), ("127.0.0.1", 2), CONFIG)
        return environ, request.should_close()


def told(environ):
    """Return what both tell of a request."""
    fields = {name: value for name, value in environ.items() if name.startswith("HTTP_")}
    return fields | {name: environ.get(name) for name in TOLD} | {"length": int(environ.get("CONTENT_LENGTH") or 0)}


@pytest.mark.parametrize("data", PLAIN)
def test_a_plain_head_is_read_as_gunicorn_reads_it(data):
    head = parse_head(data)
    assert head is not None
    environ, closing = gunicorn_s(data)
    assert told(head.environ) == told(environ)
    assert head.length == told(environ)["length"]
    if "HTTP_UPGRADE" not in head.environ:
        assert head.keep_alive is not closing


@pytest.mark.parametrize("data", UNUSUAL)
def test_what_is_unusual_is_left_to_gunicorn(data):
    assert parse_head(data) is None


def test_no_mutation_is_accepted_that_gunicorn_refuses_or_reads_otherwise():
    chance = random.Random(1)
    pieces = [
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b":",
        b"\x00",
        b"_",
        b"%",
        b"Content-Length: 3\r\n",
        b"Host: x\r\n",
        b"\xff",
        b"/",
    ]
    accepted = 0
    for _ in range(6000):
        data = bytearray(chance.choice(PLAIN))
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(data))
            data[at : at + chance.randint(0, 2)] = chance.choice([*pieces, bytes([chance.randrange(256)])])
        whole = bytes(data)
        head = parse_head(whole[: whole.find(b"\r\n\r\n") + 4])
        if head is None:
            continue
        accepted += 1
        environ, _ = gunicorn_s(whole[: whole.find(b"\r\n\r\n") + 4])
        assert told(head.environ) == told(environ), whole
    assert accepted > 500
