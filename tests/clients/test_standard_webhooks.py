"""The `standardwebhooks` libraries of PyPI and npm sign; we verify."""

import base64
import json
import re
import time
from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks import Webhook

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
CONFIG = """
version: 1
server: {workers: 2}
store:
  sqlite: {path: data/events.db}
keys:
  shop: {standard-webhooks: "${env:SHOP_KEY}"}
pipelines:
  - name: default
    steps:
      - verify: {scheme: standard-webhooks, keys: [shop]}
      - persist
      - fan_out
outputs:
  - sse
"""
BODY = json.dumps({"type": "shop.order.created", "data": {"total": 12, "name": "é\u2028"}}, ensure_ascii=False)


@pytest.fixture(scope="module")
def url(serve_module):
    return serve_module(CONFIG, environ={"SHOP_KEY": SECRET}).url + "/events"


@pytest.fixture(scope="module", params=["python", "javascript"])
def sign(request, run_client):
    """A function (id, seconds, body) -> signature, by the library of one language."""
    if request.param == "python":
        webhook = Webhook(SECRET)
        return lambda name, seconds, body: webhook.sign(name, datetime.fromtimestamp(seconds, UTC), body)
    client = run_client("sign.mjs", SECRET)

    def by_node(id, seconds, body):
        count = len(client.lines)
        client.tell({"id": id, "seconds": seconds, "body": body})
        return client.wait(lambda lines: len(lines) > count and lines[-1]["signature"], "a signature")

    return by_node


@pytest.fixture
def signed(sign, request):
    """A function (id, seconds from now) -> headers of a signed request for BODY; ids are this test's own."""

    name = re.sub(r"\W", "_", request.node.name)

    def headers(id, late=0, body=BODY):
        id = f"{name}-{id}"
        seconds = int(time.time()) + late
        return {
            "Content-Type": "application/json",
            "webhook-id": id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": sign(id, seconds, body),
        }

    return headers


def post(url, headers, body=BODY):
    return httpx.post(url, headers=headers, content=body if isinstance(body, bytes) else body.encode())


def test_a_signed_request_passes_and_its_retry_is_a_repeat(url, signed):
    first = post(url, signed("a"))
    assert first.status_code == 201, first.text
    assert first.json()["source"] == "/keys/shop"
    for late in (1, 2):  # a new timestamp, and so a new signature, under the same id
        again = post(url, signed("a", late))
        assert again.status_code == 200, again.text
        assert again.json() == {**first.json(), "duplicate": True}


def test_the_same_id_with_other_content_is_a_conflict(url, signed):
    assert post(url, signed("a")).status_code == 201
    other = BODY.replace("12", "13")
    assert post(url, signed("a", body=other), other).status_code == 409


def test_any_altered_byte_of_the_body_is_refused(url, signed):
    headers = signed("a")
    body = BODY.encode()
    for position in range(len(body)):
        altered = bytearray(body)
        altered[position] ^= 1
        answer = post(url, headers, bytes(altered))
        assert answer.status_code == 401, (position, answer.text)
    assert post(url, headers, body + b" ").status_code == 401
    assert post(url, headers).status_code == 201, "the request itself was good"


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_any_altered_character_of_a_header_is_401(url, signed, header):
    headers = signed("a")
    value = headers[header]
    begin = 3 if header == "webhook-signature" else 0
    for position in range(begin, len(value)):
        other = chr(ord(value[position]) ^ 1)
        answer = post(url, {**headers, header: value[:position] + other + value[position + 1 :]})
        assert answer.status_code == 401, (position, answer.text)
    assert post(url, {name: text for name, text in headers.items() if name != header}).status_code == 401
    assert post(url, {**headers, header: ""}).status_code == 401
    assert post(url, headers).status_code == 201, "the request itself was good"


def test_stale_and_future_timestamps_are_401(url, signed):
    for late in (-3600, -310, 310, 3600):
        answer = post(url, signed("a", late))
        assert answer.status_code == 401, late
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert SECRET not in answer.text
    for late in (-280, 280):
        assert post(url, signed("a", late)).status_code in (200, 201), late


def test_another_secret_is_401(url, signed):
    headers = signed("a")
    seconds = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    other = Webhook(base64.b64encode(bytes(32)).decode()).sign(headers["webhook-id"], seconds, BODY)
    assert post(url, {**headers, "webhook-signature": other}).status_code == 401
    rotated = f"{other} {headers['webhook-signature']}"  # while the sender changes its secret
    assert post(url, {**headers, "webhook-signature": rotated}).status_code == 201
