import os
import select
import socket
import ssl
import threading

import pytest

from eventstream.server.connection import PlainConnection, TlsConnection, connection_of


@pytest.fixture
def pair():
    """Two ends of a TCP connection with small buffers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    yield server, client
    server.close()
    client.close()


@pytest.fixture
def tls_pair(pair, certificate):
    """The same under TLS, its handshake done."""
    server, client = pair
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    theirs = ssl.create_default_context(cafile=certificate / "cert.pem")
    ends = []
    thread = threading.Thread(target=lambda: ends.append(theirs.wrap_socket(client, server_hostname="localhost")))
    thread.start()
    secured = ours.wrap_socket(server, server_side=True)
    thread.join(10)
    secured.setblocking(False)
    yield secured, ends[0]
    secured.close()
    ends[0].close()


def read_all(end, size):
    """Read this many bytes in a thread; returns the thread and the list of what came."""
    got = bytearray()

    def run():
        while len(got) < size:
            part = end.recv(65536)
            if not part:
                break
            got.extend(part)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, got


def send_all(connection, data):
    """Send as the hub does: the rest of what did not fit comes first the next time; return the short writes."""
    view, short = memoryview(data), 0
    while view:
        sent = connection.send(view)
        view = view[sent:]
        if view:
            short += 1
            assert connection.committed <= len(view)
    return short


def test_a_plain_socket_is_detached_and_probed(pair):
    server, _ = pair
    connection = connection_of(server)
    assert isinstance(connection, PlainConnection)
    assert server.fileno() == -1
    again = socket.socket(fileno=os.dup(connection.fileno()))
    with again:
        assert again.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert again.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
    server.close()  # what the worker does; the descriptor is not its own any more
    assert connection.send(b"x") == 1
    connection.close()
    connection.close()
    assert connection.fileno() == -1


def test_a_full_plain_socket_takes_nothing_and_waits_for_nothing(pair):
    server, client = pair
    connection = PlainConnection(server)
    sent = 0
    while part := connection.send(b"x" * 65536):
        sent += part
    assert connection.send(b"x") == 0
    thread, got = read_all(client, sent)
    thread.join(10)
    assert len(got) == sent
    connection.close()


def test_reading_tells_nothing_yet_from_the_end(pair):
    server, client = pair
    connection = PlainConnection(server)
    assert connection.recv(10) is None
    client.sendall(b"hello")
    while (data := connection.recv(10)) is None:
        pass
    assert data == b"hello"
    client.shutdown(socket.SHUT_WR)
    while (data := connection.recv(10)) is None:
        pass
    assert data == b""
    connection.close()


def test_everything_arrives_once_over_tls_however_short_the_writes(tls_pair):
    server, client = tls_pair
    connection = connection_of(server)
    assert isinstance(connection, TlsConnection)
    data = os.urandom(3_000_000)
    thread, got = read_all(client, len(data))
    short = send_all(connection, data)
    thread.join(20)
    assert bytes(got) == data
    assert short > 0, "no write was short: the test shows nothing"
    connection.close()


def test_what_a_short_tls_write_began_is_committed(tls_pair):
    """OpenSSL wants the same bytes again; `committed` says how many."""
    server, client = tls_pair
    connection = TlsConnection(server)
    data = os.urandom(2_000_000)
    sent = connection.send(data)
    assert 0 < connection.committed <= len(data) - sent
    assert connection.send(data[sent : sent + connection.committed]) == 0
    thread, got = read_all(client, len(data))
    send_all(connection, data[sent:])
    thread.join(20)
    assert bytes(got) == data
    assert connection.committed == 0
    connection.close()


def test_tls_reading_tells_nothing_yet_from_the_end(tls_pair):
    server, client = tls_pair
    connection = TlsConnection(server)
    assert connection.recv(10) is None
    client.sendall(b"hello")
    while (data := connection.recv(10)) is None:
        pass
    assert data == b"hello"
    client.shutdown(socket.SHUT_WR)
    while (data := connection.recv(10)) is None:
        pass
    assert data == b""
    connection.close()


def test_the_worker_s_own_close_leaves_a_tls_connection_open(tls_pair):
    """The seam `_io_refs`: `close()` of a socket with a reference only marks it."""
    server, client = tls_pair
    connection = TlsConnection(server)
    server.close()
    assert connection.send(b"still here") == 10
    assert client.recv(100) == b"still here"
    connection.close()
    connection.close()
    assert connection.fileno() == -1
    assert client.recv(100) == b""


def test_junk_instead_of_tls_is_a_lost_connection(tls_pair):
    server, client = tls_pair
    connection = TlsConnection(server)
    raw = socket.socket(fileno=os.dup(client.fileno()))
    with raw:
        raw.setblocking(True)
        raw.sendall(b"\x17\x03\x03\x00\x20" + b"junk" * 8)
    select.select([connection.fileno()], [], [], 10)
    with pytest.raises(ConnectionError):
        connection.recv(10)
    connection.close()
