import pytest

from eventstream.components.output import Response
from eventstream.server.reply import head_of


def lines(response, **how):
    return head_of(response, **how).decode("latin-1").split("\r\n")


def test_the_head_of_an_answer_has_its_length_and_says_whether_more_may_follow():
    found = lines(Response(201, {"content-type": "text/plain", "x-a": "caf\xe9"}, b"body"), keep_alive=True)
    assert found[:2] == ["HTTP/1.1 201 Created", "Server: eventstream"]
    assert found[2].startswith("Date: ")
    assert found[3:] == [
        "Connection: keep-alive",
        "content-type: text/plain",
        "x-a: caf\xe9",
        "Content-Length: 4",
        "",
        "",
    ]
    assert "Connection: close" in lines(Response())


@pytest.mark.parametrize("name", ["content-length", "connection", "transfer-encoding", "date", "server"])
def test_what_the_worker_says_itself_is_not_said_twice(name):
    found = [line.partition(":")[0].lower() for line in lines(Response(200, {name: "7"}, b"x"))]
    assert found.count(name) == (0 if name == "transfer-encoding" else 1)
    assert "Content-Length: 1" in lines(Response(200, {name: "7"}, b"x"))


@pytest.mark.parametrize("status", [101, 204, 304])
def test_a_status_without_a_body_has_no_length(status):
    assert not any(line.startswith("Content-Length") for line in lines(Response(status)))


def test_a_stream_has_no_length_and_may_be_chunked():
    assert lines(Response(200, {}, b"x"), streamed=True)[-3:] == ["Connection: close", "", ""]
    assert "Transfer-Encoding: chunked" in lines(Response(chunked=True), streamed=True)
    assert "Connection: upgrade" in lines(Response(101), streamed=True)


def test_a_status_that_nobody_knows_has_a_phrase():
    assert lines(Response(599))[0] == "HTTP/1.1 599 Unknown"


@pytest.mark.parametrize("bad", ["a\r\nSet-Cookie: b", "a\nb", "a\rb"])
def test_no_header_writes_a_line_of_its_own(bad):
    with pytest.raises(ValueError, match="line end"):
        head_of(Response(200, {"x-a": bad}))
    with pytest.raises(ValueError, match="line end"):
        head_of(Response(200, {bad: "a"}))
