import pytest

from eventstream.testing.raw_http import RawClient

BODY = b'{"type": "smuggled"}'
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
JSON = b"Content-Type: application/json\r\n"


def head(*lines, method=b"POST", target=b"/events", host=b"Host: localhost\r\n"):
    return method + b" " + target + b" HTTP/1.1\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post_head(*lines):
    return head(b"Content-Type: application/json", *lines)


LENGTH = b"Content-Length: %d" % len(BODY)
TE = b"Transfer-Encoding: "
REFUSED = {
    "both lengths": (post_head(LENGTH, TE + b"chunked") + CHUNKED, 400),
    "both lengths, other order": (post_head(TE + b"chunked", LENGTH) + CHUNKED, 400),
    "two lengths": (post_head(LENGTH, b"Content-Length: 1") + BODY, 400),
    "two equal lengths": (post_head(LENGTH, LENGTH) + BODY, 400),
    "listed lengths": (post_head(b"Content-Length: 20, 20") + BODY, 400),
    "signed length": (post_head(b"Content-Length: +20") + BODY, 400),
    "negative length": (post_head(b"Content-Length: -1") + BODY, 400),
    "hexadecimal length": (post_head(b"Content-Length: 0x14") + BODY, 400),
    "length with underscore": (post_head(b"Content-Length: 2_0") + BODY, 400),
    "length of Latin-1 digits": (post_head(b"Content-Length: \xb2") + BODY, 400),
    "empty length": (post_head(b"Content-Length:") + BODY, 400),
    "endless length": (post_head(b"Content-Length: " + b"9" * 5000) + BODY, (400, 413)),
    "gzip, chunked": (post_head(TE + b"gzip, chunked") + CHUNKED, 400),
    "gzip": (post_head(TE + b"gzip") + CHUNKED, 400),
    "chunked, gzip": (post_head(TE + b"chunked, gzip") + CHUNKED, 400),
    "chunked twice": (post_head(TE + b"chunked", TE + b"chunked") + CHUNKED, 400),
    "chunked, chunked": (post_head(TE + b"chunked, chunked") + CHUNKED, 400),
    "chunked, identity": (post_head(TE + b"chunked, identity") + CHUNKED, 400),
    "unknown coding": (post_head(TE + b"xchunked") + CHUNKED, 400),
    "vertical tab before chunked": (post_head(TE + b"\x0bchunked") + CHUNKED, 400),
    "space before the colon": (post_head(b"Transfer-Encoding : chunked") + CHUNKED, 400),
    "underscore for dash": (post_head(b"Transfer_Encoding: chunked", LENGTH) + BODY, 400),
    "chunked in HTTP/1.0": (post_head(TE + b"chunked").replace(b"HTTP/1.1", b"HTTP/1.0") + CHUNKED, 400),
    "chunk size is no number": (post_head(TE + b"chunked") + b"zz\r\n", 400),
    "chunk size is signed": (post_head(TE + b"chunked") + b"+5\r\nabcde\r\n0\r\n\r\n", 400),
    "chunk size is 0x": (post_head(TE + b"chunked") + b"0x5\r\nabcde\r\n0\r\n\r\n", 400),
    "chunk size is negative": (post_head(TE + b"chunked") + b"-5\r\nabcde\r\n0\r\n\r\n", 400),
    "chunk longer than it says": (post_head(TE + b"chunked") + b"5\r\nabcdefgh\r\n0\r\n\r\n", 400),
    "chunk with a bare LF": (post_head(TE + b"chunked") + b"5\nabcde\n0\n\n", (400, 408)),
    "chunk extension without end": (post_head(TE + b"chunked") + b"5;" + b"a" * 20_000, 400),
    "chunk extension of junk": (post_head(TE + b"chunked") + b"5;\x00\r\nabcde\r\n0\r\n\r\n", 400),
    "trailers without end": (post_head(TE + b"chunked") + b"0\r\n" + b"a: b\r\n" * 200_000, (400, 431)),
    "folded header": (post_head(LENGTH, b"X-Folded: a", b" b") + BODY, 400),
    "folded first header": (b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n", 400),
    "bare LF": (b"GET / HTTP/1.1\nHost: localhost\n\n", 400),
    "bare CR in a value": (head(b"X-A: a\rb", method=b"GET"), 400),
    "NUL in a value": (head(b"X-A: a\0b", method=b"GET"), 400),
    "NUL in a name": (head(b"X\0A: a", method=b"GET"), 400),
    "space in a name": (head(b"X A: a", method=b"GET"), 400),
    "name outside ASCII": (head(b"X-\xff: a", method=b"GET"), 400),
    "header without colon": (head(b"nothing", method=b"GET"), 400),
    "header without name": (head(b": a", method=b"GET"), 400),
    "no Host": (head(host=b"", method=b"GET"), 400),
    "empty Host": (head(host=b"Host:\r\n", method=b"GET"), 400),
    "two Hosts": (head(b"Host: evil.example", method=b"GET"), 400),
    "Host with a path": (head(host=b"Host: localhost/x\r\n", method=b"GET"), 400),
    "Host with a user": (head(host=b"Host: a@localhost\r\n", method=b"GET"), 400),
    "Host with spaces": (head(host=b"Host: local host\r\n", method=b"GET"), 400),
    "Host with a bad port": (head(host=b"Host: localhost:http\r\n", method=b"GET"), 400),
    "Host outside ASCII": (head(host=b"Host: loc\xe4lhost\r\n", method=b"GET"), 400),
    "foreign Host": (head(host=b"Host: evil.example\r\n", method=b"GET"), 421),
    "Host that begins like ours": (head(host=b"Host: localhost.evil.example\r\n", method=b"GET"), 421),
    "absolute target of another host": (head(method=b"GET", target=b"http://evil.example/"), (400, 421)),
    "absolute target without a host": (head(method=b"GET", target=b"http:///"), 400),
    "long request line": (head(method=b"GET", target=b"/" + b"a" * 9000), 414),
    "long header": (head(b"X-A: " + b"a" * 9000, method=b"GET"), 431),
    "many headers": (head(*[b"X-%d: a" % i for i in range(150)], method=b"GET"), 431),
    "head without end": (b"GET / HTTP/1.1\r\n" + b"X-A: a\r\n" * 200_000, 431),
    "line without end": (b"GET /" + b"a" * 500_000, 414),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "HTTP/3.7": (b"GET / HTTP/3.7\r\nHost: localhost\r\n\r\n", 400),
    "a TLS handshake": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64 + b"\r\n\r\n", 400),
    "spaces in the target": (head(method=b"GET", target=b"/a b"), 400),
    "target outside ASCII": (head(method=b"GET", target=b"/\xff"), 400),
    "control character in the target": (head(method=b"GET", target=b"/a\x7f"), 400),
    "lower-case method": (head(method=b"get", target=b"/"), 400),
    "unknown expectation": (post_head(LENGTH, b"Expect: magic") + BODY, 417),
    "query outside UTF-8": (head(method=b"GET", target=b"/events?type=%ff"), 400),
    "surrogate in the query": (head(method=b"GET", target=b"/events?type=%ed%a0%80"), 400),
    "many parameters": (head(method=b"GET", target=b"/events?" + b"a=&" * 500), 400),
    "unknown path": (head(method=b"GET", target=b"/nothing"), 404),
    "path outside UTF-8": (head(method=b"GET", target=b"/%ff%fe"), 404),
    "path with NUL": (head(method=b"GET", target=b"/events%00"), 404),
    "path that climbs": (head(method=b"GET", target=b"/../../etc/passwd"), 404),
    "unknown method": (head(method=b"BREW", target=b"/events"), 400),
    "PUT": (head(method=b"PUT"), 405),
    "DELETE": (head(method=b"DELETE"), 405),
    "TRACE": (head(method=b"TRACE"), 405),
    "POST where there is only GET": (head(LENGTH, target=b"/-/health") + BODY, 405),
    "POST to a path unknown": (head(LENGTH, target=b"/x") + BODY, 404),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_http_as_we_take_it_is_refused_and_published_nowhere(ask, name):
    data, status = REFUSED[name]
    reply = ask(data)
    assert reply.status in ((status,) if isinstance(status, int) else status), reply
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["status"] == reply.status


def test_nothing_that_was_refused_was_published(ask):
    assert ask(head(method=b"GET", target=b"/events?type=smuggled")).json()["events"] == []


def test_a_405_names_the_methods_there_are(ask):
    assert ask(head(method=b"PUT")).headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert ask(head(method=b"PUT", target=b"/-/health")).headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("target", [b"/", b"/events", b"/-/health", b"/openapi.json"])
def test_head_is_get_without_the_body(ask, target):
    whole = ask(head(method=b"GET", target=target))
    bare = ask(head(method=b"HEAD", target=target), bodiless=True)
    assert bare.status == whole.status == 200
    assert bare.headers["content-length"] == whole.headers["content-length"]
    assert bare.headers["content-type"] == whole.headers["content-type"]


def test_head_of_a_stream_opens_none(sound):
    with RawClient(sound.port) as client:
        client.request("HEAD", "/events", "Accept: text/event-stream")
        assert client.reply(bodiless=True).headers["content-type"].startswith("text/event-stream")
        client.request("GET", "/-/health")
        assert client.reply().json() == {"status": "ok"}


@pytest.mark.parametrize("host", [b"localhost", b"LOCALHOST:1", b"127.0.0.1", b"127.0.0.1:80", b"[::1]:3000"])
def test_loopback_names_are_ours_on_loopback(ask, host):
    assert ask(head(host=b"Host: " + host + b"\r\n", method=b"GET")).status == 200


def test_http_1_0_needs_no_host(ask):
    assert ask(b"GET /-/health HTTP/1.0\r\n\r\n").status == 200


def test_expect_100_continue_is_answered_before_the_body(sound):
    with RawClient(sound.port) as client:
        client.send(post_head(LENGTH, b"Expect: 100-continue"))
        assert client.head().status == 100
        client.send(BODY.replace(b"smuggled", b"expected"))
        assert client.reply().status == 201


def test_a_connection_serves_many_requests(sound):
    with RawClient(sound.port) as client:
        for number in range(5):
            client.request("POST", "/events", "Content-Type: application/json", body=b'{"type": "kept.%d"}' % number)
            reply = client.reply()
            assert reply.status == 201
            assert reply.headers["connection"] == "keep-alive"
        client.send(post_head(TE + b"chunked") + CHUNKED.replace(b"smuggled", b"chunked!"))
        assert client.reply().headers["connection"] == "keep-alive"
        client.request("POST", "/events", "Content-Type: application/json", body=b"{")
        assert client.reply().status == 400
        client.request("GET", "/-/health")
        assert client.reply().status == 200


def test_pipelined_requests_are_answered_in_their_order(sound):
    with RawClient(sound.port) as client:
        client.send(head(method=b"GET", target=b"/-/health") + head(method=b"GET", target=b"/nothing") * 2)
        assert [client.reply().status for _ in range(3)] == [200, 404, 404]


def test_a_request_hidden_in_a_body_is_not_served(sound):
    """What follows a refusal with an unread body is thrown away with the connection."""
    hidden = head(method=b"GET", target=b"/-/health")
    with RawClient(sound.port) as client:
        client.send(head(b"Content-Length: %d" % (2 * len(hidden)), target=b"/nothing") + hidden)
        assert client.reply().status == 404
        assert client.read_to_end() == b""


def test_a_413_reaches_a_client_that_is_still_sending(sound):
    """A close with unread input would reset the connection and take the answer with it."""
    with RawClient(sound.port) as client:
        client.send(post_head(b"Content-Length: 50000000"))
        client.send(b"x" * 3_000_000)
        reply = client.reply()
        assert reply.status == 413
        assert reply.headers["connection"] == "close"
        assert client.read_to_end() == b""


def test_a_chunked_body_over_the_limit_is_413(sound):
    with RawClient(sound.port) as client:
        client.send(post_head(TE + b"chunked"))
        client.send(b"10000\r\n%b\r\n" % (b" " * 65536) * 17)
        assert client.reply().status == 413


@pytest.mark.parametrize(
    "part",
    [b"P", b"POST /events HTT", post_head(LENGTH), post_head(LENGTH) + b"{", post_head(TE + b"chunked") + b"5\r\nab"],
)
def test_a_client_that_leaves_halfway_is_nobody_s_fault(sound, part):
    with RawClient(sound.port) as client:
        client.send(part)
        client.socket.shutdown(1)
        client.read_to_end()


@pytest.mark.parametrize(("given", "kept"), [("abc-1.2_Z", True), ("a b", False), ("x" * 65, False), ("\xff", False)])
def test_a_harmless_request_id_is_kept(sound, given, kept):
    with RawClient(sound.port) as client:
        client.request("GET", "/-/health", f"X-Request-Id: {given}")
        assert (client.reply().headers["x-request-id"] == given) == kept
