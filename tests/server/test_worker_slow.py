"""Peers that are slow, silent or gone are cut in bounded time, while others are served."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from eventstream.testing.process import wait_for
from eventstream.testing.raw_http import RawClient

HEAD = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
BOUND = 5.0  # seconds: the deadlines here are 1 to 2 s, and 1 s more for a closing that is read


@pytest.fixture
def others(short_server):
    """Others are served all the while: checked before and after."""

    def served():
        with RawClient(short_server.port, seconds=3) as client:
            client.request("POST", "/events", "Content-Type: application/json", body=b'{"type": "others"}')
            return client.reply().status == 201

    assert served()
    yield served
    assert served()


def drip(client, data, seconds):
    """Send a byte at a time until the server has cut us; return how long it let us."""
    began = time.monotonic()
    client.socket.settimeout(0.2)
    for byte in data:
        try:
            client.send(bytes([byte]))
            if not client.socket.recv(1):
                return time.monotonic() - began
        except TimeoutError:
            if time.monotonic() - began > seconds:
                raise AssertionError(f"not cut within {seconds} s") from None
        except OSError:
            return time.monotonic() - began
    raise AssertionError("all was taken")


@pytest.mark.parametrize("part", [b"", b"P", b"POST /events HTTP/1.1\r\n", HEAD, b"\r\n" * 3], ids=repr)
def test_a_head_that_stops_is_cut(short_server, others, part):
    with RawClient(short_server.port) as client:
        client.send(part)
        assert client.seconds_until_closed() < BOUND


def test_a_head_that_drips_is_cut(short_server, others):
    with RawClient(short_server.port) as client:
        assert drip(client, HEAD + b"X: " + b"a" * 200, BOUND) < BOUND


@pytest.mark.parametrize(
    "body",
    [b"Content-Length: 100\r\n\r\n", b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"],
    ids=["none", "half", "half a chunk"],
)
def test_a_body_that_stops_is_told_408_and_cut(short_server, others, body):
    with RawClient(short_server.port) as client:
        client.send(HEAD + body)
        began = time.monotonic()
        reply = client.reply()
        assert reply.status == 408
        assert reply.headers["connection"] == "close"
        assert client.read_to_end() == b""
        assert time.monotonic() - began < BOUND


def test_a_body_that_drips_is_cut_by_the_same_deadline(short_server, others):
    with RawClient(short_server.port) as client:
        client.send(HEAD + b"Content-Length: 1000\r\n\r\n")
        began = time.monotonic()
        client.socket.settimeout(0.1)
        reply = b""
        while not reply:
            client.send(b" ")
            try:
                reply = client.socket.recv(65536)
            except TimeoutError:
                assert time.monotonic() - began < BOUND
        assert reply.startswith(b"HTTP/1.1 408 ")


def test_an_idle_connection_is_closed_without_a_word(short_server, others):
    with RawClient(short_server.port) as client:
        client.request("GET", "/-/health")
        assert client.reply().status == 200
        began = time.monotonic()
        assert client.read_to_end() == b""
        assert 1.0 < time.monotonic() - began < BOUND


def test_a_reader_that_never_reads_a_large_page_is_cut(short_server, others):
    large = b'{"type": "large", "data": "%b"}' % (b"x" * 500_000)
    with RawClient(short_server.port) as client:
        for _ in range(24):
            client.request("POST", "/events", "Content-Type: application/json", body=large)
            assert client.reply().status == 201
    with RawClient(short_server.port, receive_buffer=4096) as client:
        for _ in range(24):  # answers enough for every buffer in between
            client.request("GET", "/events?type=large")
        assert int(client.head().headers["content-length"]) > 400_000
        wait_for(lambda: _refuses(client), "the connection to be cut", seconds=2 * BOUND, step=0.05)


def _refuses(client):
    """Tell, without reading, whether the server has given up: it then refuses what we send."""
    try:
        client.send(b"GET /-/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    except OSError:
        return True
    return False


def test_three_hundred_slow_peers_at_once_keep_nobody_else_waiting(short_server, others):
    parts = [b"", b"POST /ev", HEAD, HEAD + b"Content-Length: 9\r\n\r\n{"]
    clients = [RawClient(short_server.port) for _ in range(300)]
    try:
        for number, client in enumerate(clients):
            client.send(parts[number % 4])
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(lambda _: others(), range(40)))
        for client in clients:
            client.read_to_end()
        assert time.monotonic() - began < 3 * BOUND
    finally:
        for client in clients:
            client.socket.close()
