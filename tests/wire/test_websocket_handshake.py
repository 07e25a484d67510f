import base64

import pytest

from eventstream.errors import Reject
from eventstream.wire.websocket_handshake import accept, accept_key, is_upgrade

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 section 1.3
HEADERS = {
    "host": "127.0.0.1",
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-key": KEY,
    "sec-websocket-version": "13",
}


def with_headers(**changes):
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in headers.items() if value is not None}


def test_the_example_of_the_specification():
    assert accept_key(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert accept("GET", HEADERS) == {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    }


@pytest.mark.parametrize("connection", ["upgrade", "keep-alive, Upgrade", "keep-alive ,UPGRADE"])
def test_connection_is_a_list_of_tokens_in_any_case(connection):
    assert accept("GET", with_headers(connection=connection, upgrade="WebSocket"))


@pytest.mark.parametrize(
    ("method", "changes", "status"),
    [
        ("POST", {}, 400),
        ("GET", {"upgrade": None}, 426),
        ("GET", {"upgrade": "h2c"}, 426),
        ("GET", {"upgrade": "websockets"}, 426),
        ("GET", {"connection": None}, 400),
        ("GET", {"connection": "keep-alive"}, 400),
        ("GET", {"connection": "upgraded"}, 400),
        ("GET", {"sec_websocket_version": None}, 426),
        ("GET", {"sec_websocket_version": "8"}, 426),
        ("GET", {"sec_websocket_version": "13, 8"}, 426),
        ("GET", {"sec_websocket_key": None}, 400),
        ("GET", {"sec_websocket_key": ""}, 400),
        ("GET", {"sec_websocket_key": KEY[:-4]}, 400),
        ("GET", {"sec_websocket_key": f"{KEY}, {KEY}"}, 400),
        ("GET", {"sec_websocket_key": "ä" * 24}, 400),
        ("GET", {"sec_websocket_key": base64.b64encode(bytes(17)).decode()}, 400),
        ("GET", {"sec_websocket_protocol": "chat, superchat"}, 400),
    ],
)
def test_what_is_no_handshake_is_refused(method, changes, status):
    with pytest.raises(Reject) as refused:
        accept(method, with_headers(**changes), ("eventstream.v1", "cloudevents.json"))
    assert refused.value.status == status
    if status == 426:
        assert refused.value.headers == {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}


@pytest.mark.parametrize(
    ("offer", "chosen"),
    [
        ("cloudevents.json", "cloudevents.json"),
        ("eventstream.v1, cloudevents.json", "eventstream.v1"),
        ("cloudevents.json,eventstream.v1", "cloudevents.json"),
        ("cloudevents.avro , eventstream.v1", "eventstream.v1"),
        ("", None),
        (" , ", None),
        (None, None),
    ],
)
def test_the_first_known_subprotocol_of_the_offer_is_chosen(offer, chosen):
    reply = accept("GET", with_headers(sec_websocket_protocol=offer), ("eventstream.v1", "cloudevents.json"))
    assert reply.get("Sec-WebSocket-Protocol") == chosen


def test_extensions_are_never_negotiated():
    reply = accept("GET", with_headers(sec_websocket_extensions="permessage-deflate"))
    assert "Sec-WebSocket-Extensions" not in reply


def test_an_upgrade_is_told_from_a_plain_get():
    assert is_upgrade(HEADERS)
    assert is_upgrade({"upgrade": "h2c, WebSocket"})
    assert not is_upgrade({"accept": "text/event-stream"})
