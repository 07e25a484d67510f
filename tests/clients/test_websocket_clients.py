"""Independent WebSocket clients: PyPI `websockets` and `websocket-client`."""

import http.client
import json
import uuid
from contextlib import ExitStack, closing

import pytest
from websockets.sync.client import connect

import websocket

SOURCE = "/clients"


@pytest.fixture
def url(server):
    return f"ws://{server}/events/ws"


@pytest.fixture
def kind():
    """An event type of this test's own: the server is shared."""
    return f"t{uuid.uuid4().hex}"


def event(kind, number, **fields):
    return {"specversion": "1.0", "id": f"{kind}-{number}", "source": SOURCE, "type": kind, **fields}


def ask(client, message):
    client.send(json.dumps(message))


def read(client, count):
    return [json.loads(client.recv(timeout=10)) for _ in range(count)]


def publish(client, events):
    """Publish and return the cursors of the receipts; the client has no subscription."""
    ask(client, {"op": "publish", "id": "p", "events": events})
    (receipt,) = read(client, 1)
    return [result["cursor"] for result in receipt["results"]]


def test_subscribe_publish_unsubscribe_with_websockets(url, kind):
    with connect(url, subprotocols=["eventstream.v1"]) as client:
        assert client.subprotocol == "eventstream.v1"
        ask(client, {"op": "subscribe", "id": "a", "type": kind})
        assert [message["op"] for message in read(client, 2)] == ["subscribed", "cursor"]
        ask(client, {"op": "publish", "id": "p", "event": event(kind, 1, data={"text": "é\u2028"})})
        messages = {message["op"]: message for message in read(client, 2)}
        (result,) = messages["receipt"]["results"]
        assert result["durable"] == "fsync"
        assert messages["event"] == {
            "op": "event", "id": "a", "cursor": result["cursor"], "event": event(kind, 1, data={"text": "é\u2028"}),
        }  # fmt: skip
        ask(client, {"op": "unsubscribe", "id": "a"})
        assert read(client, 1) == [{"op": "unsubscribed", "id": "a"}]
        assert client.ping().wait(10)
        client.send(['{"op":', '"ping"', "}"])  # in fragments
        assert read(client, 1) == [{"op": "pong"}]


def test_cut_and_resumed_each_event_once(url, kind):
    with connect(url, subprotocols=["eventstream.v1"]) as producer:
        cursors = publish(producer, [event(kind, number) for number in range(50)])
        seen = []
        place = "earliest"
        while len(seen) < 100:
            with connect(f"{url}?type={kind}&after={place}") as client:
                read(client, 1)
                for message in read(client, 10):
                    seen.append(message["id"])
                    place = message["cursor"]
                client.socket.close()  # cut, without a goodbye
            if len(seen) == 50:
                assert place == cursors[-1]
                publish(producer, [event(kind, number) for number in range(50, 100)])
    assert seen == [f"{kind}-{number}" for number in range(100)]


def test_a_batch_arrives_in_order_at_several_subscribers(url, kind):
    with ExitStack() as stack:
        producer = stack.enter_context(connect(url, subprotocols=["eventstream.v1"]))
        clients = [stack.enter_context(connect(f"{url}?type={kind}")) for _ in range(6)]
        for client in clients:
            read(client, 1)
        cursors = publish(producer, [event(kind, number, data="x" * 2000) for number in range(200)])
        for client in clients:
            assert [message["cursor"] for message in read(client, 200)] == cursors


def test_websocket_client_speaks_cloudevents(url, kind):
    client = websocket.create_connection(f"{url}?type={kind}", subprotocols=["cloudevents.json"], timeout=10)
    assert client.getsubprotocol() == "cloudevents.json"
    assert json.loads(client.recv())["type"] == "eventstream.cursor"
    data = "é" * 100_000
    client.send(json.dumps(event(kind, 1, data=data)))
    assert json.loads(client.recv())["data"] == data
    client.ping("hello")
    assert client.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_PONG, b"hello")
    client.send_binary(b"{}")
    opcode, payload = client.recv_data()
    assert (opcode, int.from_bytes(payload[:2])) == (websocket.ABNF.OPCODE_CLOSE, 1003)
    client.shutdown()  # it leaves its socket open after a close of the peer


def test_a_message_far_too_big_is_told_so(url):
    client = websocket.create_connection(url, timeout=10)
    client.recv()
    client.send("x" * (1 << 20) + "y")
    opcode, payload = client.recv_data()
    assert (opcode, int.from_bytes(payload[:2])) == (websocket.ABNF.OPCODE_CLOSE, 1009)
    client.shutdown()  # it leaves its socket open after a close of the peer


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Sec-WebSocket-Version": "8"}, 426),
        ({"Sec-WebSocket-Protocol": "mqtt"}, 400),
        ({"Sec-WebSocket-Key": "x"}, 400),
    ],
)
def test_a_bad_handshake_is_refused_with_a_problem(server, changes, status):
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    with closing(http.client.HTTPConnection(server, timeout=10)) as connection:
        connection.request("GET", "/events/ws", headers=headers | changes)
        answer = connection.getresponse()
        assert answer.status == status
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert json.loads(answer.read())["status"] == status
        if status == 426:
            assert answer.headers["Sec-WebSocket-Version"] == "13"
