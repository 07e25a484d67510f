import json
import socket

import pytest
from gunicorn.http import errors

from eventstream.server.errors import write_problem
from eventstream.telemetry.bounded import Bounded
from eventstream.telemetry.log import get_logger

CASES = [
    (errors.LimitRequestLine(10, 5), 414),
    (errors.LimitRequestHeaders("too many"), 431),
    (errors.ExpectationFailed("magic"), 417),
    (errors.UnsupportedTransferCoding("gzip"), 400),
    (errors.InvalidRequestLine("secret=1"), 400),
    (errors.InvalidHeader("secret=1"), 400),
    (errors.InvalidHeaderName("secret=1"), 400),
    (errors.ObsoleteFolding("secret=1"), 400),
    (errors.InvalidHTTPVersion("secret=1"), 400),
    (errors.InvalidRequestMethod("secret=1"), 400),
    (errors.InvalidSchemeHeaders(), 400),
]


def exchange(error):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        write_problem(ours, error, Bounded(get_logger("test")))
        ours.shutdown(socket.SHUT_WR)
        data = b""
        while part := theirs.recv(65536):
            data += part
    head, _, body = data.partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), body


@pytest.mark.parametrize(("error", "status"), CASES, ids=lambda case: type(case).__name__)
def test_what_the_parser_refuses_is_a_problem_that_repeats_nothing(error, status):
    head, body = exchange(error)
    assert head[0].startswith(f"HTTP/1.1 {status} ")
    assert "Content-Type: application/problem+json" in head
    assert "Connection: close" in head
    assert f"Content-Length: {len(body)}" in head
    problem = json.loads(body)
    assert problem["status"] == status
    assert type(error).__name__ in problem["detail"]
    assert "secret" not in body.decode()


def test_every_error_of_gunicorn_s_parser_is_one_we_answer():
    """A new kind in a later gunicorn should be looked at before it is a 400."""
    known = {
        "ChunkMissingTerminator", "ConfigurationProblem", "ExpectationFailed", "ForbiddenProxyRequest",
        "InvalidChunkExtension",
        "InvalidChunkSize", "InvalidH2CPreface", "InvalidHTTPVersion", "InvalidHeader", "InvalidHeaderName",
        "InvalidProxyHeader", "InvalidProxyLine", "InvalidRequestLine", "InvalidRequestMethod",
        "InvalidResponseHeader",
        "InvalidResponseHeaderName", "InvalidSchemeHeaders", "LimitRequestHeaders", "LimitRequestLine",
        "ObsoleteFolding",
        "UnsupportedTransferCoding",
    }  # fmt: skip
    found = {
        name for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.ParseException) and kind is not errors.ParseException
    }  # fmt: skip
    assert found == known


def test_a_peer_that_has_gone_is_no_error():
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        write_problem(ours, errors.InvalidHeader("x"), Bounded(get_logger("test")))
