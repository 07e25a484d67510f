import json
import socket
import ssl

import pytest

from eventstream.testing.process import wait_for
from eventstream.testing.raw_http import RawClient


def publish(client, type, data):
    client.request(
        "POST", "/events", "Content-Type: application/json", body=json.dumps({"type": type, "data": data}).encode()
    )
    reply = client.reply()
    assert reply.status == 201, reply
    return reply.json()["cursor"]


def open_stream(client, query=""):
    client.request("GET", f"/events{query}", "Accept: text/event-stream")
    assert client.head().status == 200
    client.read_until(b"event: cursor")
    client.read_until(b"\n\n")


def next_event(client):
    while True:
        block = client.read_until(b"\n\n")
        lines = [line for line in block.splitlines() if line and not line.startswith(b":")]
        fields = dict(line.split(b": ", 1) for line in lines)
        if b"data" in fields and b"event" not in fields:
            return json.loads(fields[b"data"])


def test_requests_and_a_stream_over_tls(tls_server, trust):
    with RawClient(tls_server.port, tls=trust) as stream, RawClient(tls_server.port, tls=trust) as client:
        open_stream(stream, "?type=tls.small")
        for number in range(50):
            publish(client, "tls.small", number)
        assert [next_event(stream)["data"] for _ in range(50)] == list(range(50))


def test_a_slow_reader_receives_everything_once(tls_server, trust):
    """Short writes over TLS must be repeated with the same bytes (`TlsConnection.committed`)."""
    filler = "x" * 60_000
    with RawClient(tls_server.port, tls=trust, receive_buffer=4096) as stream:
        open_stream(stream, "?type=tls.slow")
        with RawClient(tls_server.port, tls=trust) as client:
            for number in range(150):
                publish(client, "tls.slow", [number, filler])
        for number in range(150):
            assert next_event(stream)["data"] == [number, filler]


def test_slow_readers_beside_each_other_are_not_mixed_up(tls_server, trust):
    streams = [RawClient(tls_server.port, tls=trust, receive_buffer=4096) for _ in range(4)]
    try:
        for stream in streams:
            open_stream(stream, "?type=tls.many")
        with RawClient(tls_server.port, tls=trust) as client:
            for number in range(60):
                publish(client, "tls.many", [number, "y" * (997 * number % 50_000)])
        for stream in streams:
            assert [next_event(stream)["data"][0] for _ in range(60)] == list(range(60))
    finally:
        for stream in streams:
            stream.socket.close()


def test_a_silent_handshake_is_cut_while_others_are_served(tls_server, trust):
    silent = [RawClient(tls_server.port) for _ in range(50)]
    with RawClient(tls_server.port, tls=trust) as client:
        client.request("GET", "/-/health")
        assert client.reply().status == 200
    silent[0].send(b"\x16\x03\x01\x02")  # half a ClientHello
    for client in silent:
        assert client.seconds_until_closed() < 5
        client.socket.close()


@pytest.mark.parametrize(
    "junk", [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\0" * 100, b"\x16\x03\x01\xff\xff" + b"a" * 500]
)
def test_what_is_no_handshake_is_cut(tls_server, junk):
    with RawClient(tls_server.port) as client:
        client.send(junk)
        assert client.seconds_until_closed() < 5


def test_old_protocol_versions_are_refused(tls_server, trust):
    trust.minimum_version = ssl.TLSVersion.TLSv1_2
    with RawClient(tls_server.port, tls=trust) as client:
        assert client.socket.version() in {"TLSv1.2", "TLSv1.3"}


def test_a_peer_that_leaves_is_noticed(tls_server, trust):
    def subscribers():
        with RawClient(tls_server.port, tls=trust) as client:
            client.request("GET", "/-/metrics")
            lines = client.reply().body.decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("eventstream_subscribers{"))

    wait_for(lambda: subscribers() == 0, "the streams of other tests to be gone")
    with RawClient(tls_server.port, tls=trust) as stream:
        open_stream(stream)
        wait_for(lambda: subscribers() == 1, "the stream to be counted")
        stream.socket.shutdown(socket.SHUT_RDWR)
    wait_for(lambda: subscribers() == 0, "the stream to be gone")


def test_a_renewed_certificate_serves_the_next_handshake_and_cuts_no_stream(tls_server, trust, renew):
    def serial():
        context = ssl.create_default_context(cafile=tls_server.config.parent / "cert.pem")
        try:
            with RawClient(tls_server.port, tls=context) as client:
                return client.socket.getpeercert()["serialNumber"]
        except ssl.SSLCertVerificationError:
            return None  # the old one is still served

    with RawClient(tls_server.port, tls=trust) as stream, RawClient(tls_server.port, tls=trust) as client:
        open_stream(stream, "?type=tls.renewed")
        assert serial() == "01"
        renew(7)
        wait_for(lambda: serial() == "07", "the new certificate")
        (tls_server.config.parent / "key.pem").write_text("broken")
        wait_for(lambda: tls_server.events("certificate_not_renewed"), "the broken pair to be refused")
        assert serial() == "07"
        with RawClient(
            tls_server.port, tls=ssl.create_default_context(cafile=tls_server.config.parent / "cert.pem")
        ) as other:
            publish(other, "tls.renewed", "later")
        assert next_event(stream)["data"] == "later"
        assert client.socket.getpeercert()["serialNumber"] == "01"
