"""A request is answered alike by the worker's own loop and by gunicorn's parser with Falcon behind it."""

import json

import pytest

from eventstream.testing.raw_http import RawClient

JSON = "Content-Type: application/json"
OURS = {"server", "date", "connection", "x-request-id", "content-length"}


def told(port, method, path, *headers, body=b""):
    """Return status, headers and body both ways: the second time the head says something unusual."""
    answers = []
    for unusual in ((), ("Keep-Alive: timeout=5",)):
        with RawClient(port) as client:
            client.request(method, path, *headers, *unusual, body=body)
            reply = client.reply(bodiless=method == "HEAD")
            kept = {name: value for name, value in reply.headers.items() if name not in OURS}
            answers.append((reply.status, kept, reply.headers.get("content-length"), reply.body))
    return answers


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("GET", "/-/health", (), b""),
        ("HEAD", "/-/health", (), b""),
        ("GET", "/openapi.json", ("Origin: https://shop.example",), b""),
        ("OPTIONS", "/events", (), b""),
        ("POST", "/events", (JSON,), b'{"type": "both", "id": "1", "data": 1}'),
        ("POST", "/events", (JSON,), b"{"),
        ("POST", "/-/health", (), b""),
        ("GET", "/nothing", (), b""),
    ],
)
def test_both_ways_give_one_answer(sound, method, path, headers, body):
    if body.startswith(b'{"type"'):
        told(sound.port, method, path, *headers, body=body)  # so that both are a repeat
    ours, gunicorn_s = told(sound.port, method, path, *headers, body=body)
    if b"instance" in ours[3]:
        ours, gunicorn_s = ((*one[:2], *[{**json.loads(one[3]), "instance": ""}]) for one in (ours, gunicorn_s))
    if ours[0] == 204:
        ours, gunicorn_s = (one[:2] for one in (ours, gunicorn_s))
    assert ours == gunicorn_s
