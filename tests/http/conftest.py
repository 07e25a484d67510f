import pytest

from eventstream.testing.raw_http import RawClient

BUGS = ("request_failed", "connection_failed", "step_error", "loop_failed", "input_failed", "Error handling request")


@pytest.fixture
def sound(shared_server):
    """The shared server, which must serve on and have logged no bug after the test."""
    yield shared_server
    with RawClient(shared_server.port) as client:
        client.request("GET", "/-/health")
        assert client.reply().status == 200
    for name in BUGS:
        assert shared_server.events(name) == []
    assert "Traceback" not in shared_server.log()


@pytest.fixture
def ask(sound):
    """Return a function that sends raw bytes on a connection of its own and reads one reply."""

    def exchange(data, *, bodiless=False):
        with RawClient(sound.port) as client:
            client.send(data)
            return client.reply(bodiless=bodiless)

    return exchange


@pytest.fixture
def post(sound):
    """Return a function that POSTs a body with these header lines to /events and reads the reply."""

    def exchange(body, *headers):
        with RawClient(sound.port) as client:
            client.request("POST", "/events", *headers, body=body)
            return client.reply()

    return exchange
