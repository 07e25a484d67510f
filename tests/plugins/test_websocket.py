"""The output `websocket` on a real node, over a socket pair; the peer is wsproto's client side."""

import json
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path

import pluggy
import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from eventstream import Form, Reject, Request, Step, StoreBusy, Submission, from_mapping
from eventstream.components.store import Keep
from eventstream.config.model import Limits, PipelineSpec, Server, Settings, StepSpec
from eventstream.events.filter import EVERYTHING
from eventstream.hooks import specs
from eventstream.runtime.node import build_node
from eventstream.telemetry.metrics import Metrics
from eventstream_plugins.fan_out import FanOut
from eventstream_plugins.memory import Memory
from eventstream_plugins.persist import Persist
from eventstream_plugins.websocket import WebSocket

SOURCE = "/tests"
REFERENCE = Path(__file__).parents[2] / "docs/reference/websocket.md"


class Guard(Step):
    """Refuses what its tests want refused."""

    name = "guard"

    def process(self, event, context):
        if event.type == "refused":
            raise Reject("the guard says no", status=429, reason="quota", headers={"Retry-After": "7"})
        if event.type == "broken":
            raise OSError("/secret/path")
        return event


class FullDisk(Memory):
    """A store that cannot take what its tests want refused."""

    def append(self, entries, *, atomic=True):
        if any(entry.type == "busy" for entry in entries):
            raise StoreBusy("disk /secret/path is full", retry_after=3)
        return super().append(entries, atomic=atomic)


class Wire:
    """A handed-over socket."""

    direct = -1

    def __init__(self, end):
        self.end = end
        end.setblocking(False)

    def fileno(self):
        return self.end.fileno()

    def send(self, data):
        try:
            return self.end.send(data)
        except BlockingIOError:
            return 0

    def recv(self, size):
        try:
            return self.end.recv(size)
        except BlockingIOError:
            return None

    def close(self):
        self.end.close()


@dataclass
class World:
    """What a node needs of the world, with a clock that the test turns."""

    clock: float = 1000.0
    sinks: set = field(default_factory=set)

    def offload(self, call):
        return call()

    def pause(self):
        pass

    def now(self):
        return self.clock

    def monotonic(self):
        return self.clock

    def watch(self, sink):
        self.sinks.add(sink)

    def unwatch(self, sink):
        self.sinks.discard(sink)


class Peer:
    """A client: what it sends reaches the hub, what the hub sends is here as JSON."""

    def __init__(self, server, headers=(), **query):
        request = Request("GET", "/events/ws", HANDSHAKE | dict(headers), query=query, client="192.0.2.7")
        self.response = server.output.handle(request)
        self.server = server
        ours, theirs = socket.socketpair()
        self.socket = ours
        ours.setblocking(False)
        self.protocol = Connection(ConnectionType.CLIENT)
        self.closed = None
        self.control = []
        self.messages = []
        self.response.take(Wire(theirs), b"")
        server.peers.append(self)

    def send(self, message):
        self.raw(self.protocol.send(TextMessage(message if isinstance(message, str) else json.dumps(message))))
        return self.read()

    def raw(self, data):
        """Send bytes; the hub sees them at once."""
        view = memoryview(data)
        while view and self.server.world.sinks:
            try:
                view = view[self.socket.send(view) :]
            except BlockingIOError:
                self.server.turn()
        self.server.turn()

    def read(self):
        """Return the messages that came since the last time."""
        self.server.turn()
        begin = len(self.messages)
        while True:
            try:
                data = self.socket.recv(1 << 16)
            except (BlockingIOError, ConnectionResetError):
                break
            if not data:
                break
            self._parse(data)
            self.server.turn()
        return self.messages[begin:]

    def _parse(self, data):
        self.protocol.receive_data(data)
        text = ""
        for event in self.protocol.events():
            if isinstance(event, TextMessage):
                text += event.data
                if event.message_finished:
                    self.messages.append(json.loads(text))
                    text = ""
            elif isinstance(event, CloseConnection):
                self.closed = (int(event.code), event.reason)
            else:
                self.control.append(event)


HANDSHAKE = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
}


class Running:
    """A node with this output, turned by hand."""

    def __init__(self, subscribers=100, **config):
        self.world = World()
        self.output = WebSocket.create(config)
        self.peers = []
        steps = [
            StepSpec(f"pipelines.all.steps[{i}].{step.name}", step()) for i, step in enumerate((Guard, Persist, FanOut))
        ]
        store = FullDisk.create()
        store.keep(Keep())
        settings = Settings(
            server=Server(limits=Limits(subscribers=subscribers)), store=store, keep=Keep(), keys=(),
            pipelines=[PipelineSpec("all", EVERYTHING, steps)], outputs=[self.output], keyring=None, routes=[],
            text="", digest="", file="pipelines.yaml", folder=".",
        )  # fmt: skip
        self.node = build_node(settings, _manager(), self.world, Metrics())

    def turn(self):
        for sink in list(self.world.sinks):
            while self.node.hub.read(sink):
                pass
            self.node.hub.writable(sink)
        behind = self.node.hub.catch_up.behind
        while behind:
            self.node.replay.serve(behind.popleft())
        self.node.hub.pump()

    def publish(self, *events):
        items = [from_mapping(event(**fields)) for fields in events]
        return self.node.publish(Submission(items, Form.BATCH))

    def v1(self, **query):
        return Peer(self, {"sec-websocket-protocol": "eventstream.v1"}, **query)

    def place(self):
        return self.node.cursor(self.node.store.head())

    def close(self):
        self.node.close()
        for peer in self.peers:
            peer.socket.close()
        for sink in list(self.node.hub.sinks):
            self.node.hub.sinks.lose(sink, "test")


def _manager():
    manager = pluggy.PluginManager(specs.PROJECT)
    manager.add_hookspecs(specs)
    return manager


def event(id="1", type="order", **fields):
    return {"specversion": "1.0", "id": id, "source": SOURCE, "type": type, **fields}


@pytest.fixture
def server():
    running = Running()
    yield running
    running.close()


@pytest.fixture
def make_server():
    made = []

    def make(**config):
        made.append(Running(**config))
        return made[-1]

    yield make
    for running in made:
        running.close()


# -- the handshake -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offer", "chosen"),
    [("cloudevents.json", "cloudevents.json"), ("x, eventstream.v1", "eventstream.v1"), ("", None)],
)
def test_the_handshake_is_answered_with_the_chosen_subprotocol(server, offer, chosen):
    response = Peer(server, {"sec-websocket-protocol": offer}).response
    assert response.status == 101
    assert response.headers.get("Sec-WebSocket-Protocol") == chosen
    assert response.stream is None  # nothing to fall back to: a plain server answers 501


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"upgrade": ""}, {}, 426),
        ({"sec-websocket-protocol": "mqtt"}, {}, 400),
        ({}, {"after": ["nonsense!"]}, 400),
        ({}, {"type": [""]}, 400),
        ({}, {"filter": ["{"]}, 400),
        ({}, {"filter": ['{"sql": "true"}']}, 400),
        ({}, {"lag": ["latest"]}, 400),
        ({"sec-websocket-protocol": "eventstream.v1"}, {"type": ["order"]}, 400),
        ({"sec-websocket-protocol": "eventstream.v1"}, {"after": ["earliest"]}, 400),
    ],
)
def test_a_bad_handshake_is_refused_before_anything_is_taken(server, headers, query, status):
    with pytest.raises(Reject) as refused:
        Peer(server, headers, **query)
    assert refused.value.status == status
    assert not server.node.hub.sinks


def test_only_an_upgrade_is_for_this_output(server):
    assert server.output.accepts(Request("GET", "/events/ws", HANDSHAKE))
    assert not server.output.accepts(Request("GET", "/events/ws", {"accept": "text/event-stream"}))


def test_bytes_sent_right_behind_the_handshake_are_read(server):
    ours, theirs = socket.socketpair()
    request = Request("GET", "/events/ws", HANDSHAKE | {"sec-websocket-protocol": "eventstream.v1"})
    early = Connection(ConnectionType.CLIENT).send(TextMessage('{"op":"ping","id":"now"}'))
    with ours:
        server.output.handle(request).take(Wire(theirs), early)
        assert ours.recv(100)[2:] == b'{"op":"pong","id":"now"}'


def test_a_full_server_says_come_back_later(make_server):
    server = make_server(subscribers=1)
    first, second, third = server.v1(), server.v1(), Peer(server)
    assert second.read()[0]["op"] == "goodbye"
    assert second.closed[0] == 1013
    third.read()
    assert third.closed[0] == 1013
    assert first.send({"op": "ping"}) == [{"op": "pong"}]


def test_a_draining_server_says_goodbye_with_the_last_place(server):
    v1, plain = server.v1(), Peer(server, type=["order"])
    v1.send({"op": "subscribe", "id": "a", "type": "order"})
    server.publish({"type": "other"})
    plain.read()
    server.node.drain()
    *_, cursor, goodbye = v1.read()
    assert cursor == {"op": "cursor", "id": "a", "cursor": server.place()}
    assert goodbye["op"] == "goodbye"
    assert 1 <= goodbye["retry"] <= 5
    assert v1.closed[0] == 1001
    assert plain.read()[-1]["cursor"] == server.place()
    assert plain.closed[0] == 1001
    late = server.v1()
    assert [message["op"] for message in late.read()] == ["goodbye"]
    assert late.closed[0] == 1001


# -- cloudevents.json --------------------------------------------------------------------------------


def test_events_arrive_as_they_are_stored_with_their_place(server):
    peer = Peer(server)
    (hello,) = peer.read()
    place = server.place()
    assert hello == {
        "specversion": "1.0", "id": f"cursor-{place}", "source": "/eventstream", "type": "eventstream.cursor",
        "cursor": place,
    }  # fmt: skip
    (stored,) = server.publish({"subject": "ä\u2028", "data": {"text": "line\nbreak"}})
    assert peer.read() == [event(subject="ä\u2028", data={"text": "line\nbreak"}) | {"cursor": stored.cursor}]


def test_the_query_subscribes(server):
    peer = Peer(server, type=["order", "shop.*"], filter=['{"suffix": {"id": "7"}}'])
    peer.read()
    server.publish({"id": "17"}, {"id": "18"}, {"id": "27", "type": "shop.x"}, {"id": "37", "type": "other"})
    assert [message["id"] for message in peer.read()] == ["17", "27"]


@pytest.mark.parametrize("way", ["header", "lastEventId", "after"])
def test_resume_by_each_way(server, way):
    receipts = server.publish({"id": "1"}, {"id": "2"}, {"id": "3"})
    place = receipts[0].cursor
    peer = Peer(server, {"last-event-id": place}) if way == "header" else Peer(server, **{way: [place]})
    messages = peer.read()
    assert [message["type"] for message in messages] == ["eventstream.cursor", "order", "order"]
    assert [message["cursor"] for message in messages] == [receipt.cursor for receipt in receipts]


def test_the_header_beats_the_query(server):
    receipts = server.publish({"id": "1"}, {"id": "2"}, {"id": "3"})
    cursors = [receipt.cursor for receipt in receipts]
    peer = Peer(server, {"last-event-id": cursors[1]}, lastEventId=[cursors[0]], after=["earliest"])
    assert [message["cursor"] for message in peer.read()] == cursors[1:]


def test_an_unknown_place_is_a_gap(server):
    server.publish({})
    peer = Peer(server, {"last-event-id": 'other-5"\n'})
    gap, cursor, first = peer.read()
    assert gap["type"] == "eventstream.gap"
    assert gap["data"] == {"requested": 'other-5"\n', "resumed_from": cursor["cursor"], "reason": "epoch"}
    assert gap["cursor"] == cursor["cursor"]
    assert first["id"] == "1"


def test_a_message_is_published_and_delivered(server):
    peer = Peer(server)
    peer.read()
    (echo,) = peer.send(event("é", data=[1]))
    assert echo == event("é", data=[1]) | {"cursor": server.place()}
    assert peer.send(event("é", data=[1])) == []  # a repeat is delivered to nobody


@pytest.mark.parametrize(
    ("message", "status", "subject"),
    [
        ("{", 400, None),
        ("[]", 400, None),
        ('{"type": "order"}', 400, None),  # the plain form is no CloudEvent
        (event("7", "eventstream.cursor"), 400, "7"),
        (event("7", cursor="x"), 400, "7"),
        (event("7", "refused"), 429, "7"),
        (event("7", "busy"), 503, "7"),
        (event("7", "broken"), 500, "7"),
        ("[" * 100_000, 400, None),
    ],
)
def test_a_refused_message_is_answered_with_a_problem(server, message, status, subject):
    peer = Peer(server)
    peer.read()
    (problem,) = peer.send(message)
    assert (problem["type"], problem["source"]) == ("eventstream.problem", "/eventstream")
    assert problem["data"]["status"] == status
    assert problem.get("subject") == subject
    assert "secret" not in json.dumps(problem)
    assert peer.send(event("8"))[0]["id"] == "8"  # the connection lives on


def test_the_same_id_with_other_content_is_a_conflict(server):
    peer = Peer(server)
    peer.send(event(data=1))
    assert peer.send(event(data=2))[-1]["data"]["status"] == 409


# -- eventstream.v1 ----------------------------------------------------------------------------------


def test_subscribe_receive_unsubscribe(server):
    peer = server.v1()
    assert peer.read() == []
    start = server.place()
    assert peer.send({"op": "subscribe", "id": "a", "type": ["order"]}) == [
        {"op": "subscribed", "id": "a", "cursor": start},
        {"op": "cursor", "id": "a", "cursor": start},
    ]
    stored, _ = server.publish({"data": {"n": 1}}, {"id": "2", "type": "other"})
    assert peer.read() == [{"op": "event", "id": "a", "cursor": stored.cursor, "event": event(data={"n": 1})}]
    assert peer.send({"op": "unsubscribe", "id": "a"}) == [{"op": "unsubscribed", "id": "a"}]
    server.publish({"id": "3"})
    assert peer.read() == []


def test_several_subscriptions_each_with_its_name_and_place(server):
    receipts = server.publish({"id": "1"}, {"id": "2", "type": "alarm"})
    peer = server.v1()
    peer.send({"op": "subscribe", "id": 'quo"te', "type": "alarm", "after": "earliest"})
    peer.send({"op": "subscribe", "id": "é", "filter": {"exact": {"type": "order"}}, "after": receipts[0].cursor})
    server.publish({"id": "3"}, {"id": "4", "type": "alarm"})
    peer.read()
    events = [(message["id"], message["event"]["id"]) for message in peer.messages if message["op"] == "event"]
    assert sorted(events) == [('quo"te', "2"), ('quo"te', "4"), ("é", "3")]


def test_a_name_may_be_used_again_after_unsubscribe(server):
    peer = server.v1()
    peer.send({"op": "subscribe", "id": "a"})
    (error,) = peer.send({"op": "subscribe", "id": "a"})
    assert (error["op"], error["id"], error["problem"]["status"]) == ("error", "a", 409)
    peer.send({"op": "unsubscribe", "id": "a"})
    assert peer.send({"op": "subscribe", "id": "a"})[0]["op"] == "subscribed"


def test_a_lost_place_is_told_between_subscribed_and_cursor(server):
    server.publish({})
    peer = server.v1()
    messages = peer.send({"op": "subscribe", "id": "a", "after": "gone-9"})
    assert [message["op"] for message in messages] == ["subscribed", "gap", "cursor", "event"]
    assert messages[1] == {
        "op": "gap", "id": "a", "requested": "gone-9", "resumed_from": messages[0]["cursor"], "reason": "epoch",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("message", "status", "pointer"),
    [
        ("{", 400, None),
        ("[1]", 400, "#"),
        ('"subscribe"', 400, "#"),
        ({}, 400, "#"),
        ({"op": "shout"}, 400, "#/op"),
        ({"op": 1}, 400, "#/op"),
        ({"op": "subscribe"}, 400, "#"),
        ({"op": "subscribe", "id": ""}, 400, "#/id"),
        ({"op": "subscribe", "id": "x" * 65}, 400, "#/id"),
        ({"op": "subscribe", "id": "a", "type": 1}, 400, "#/type"),
        ({"op": "subscribe", "id": "a", "type": [""]}, 400, "#/type/0"),
        ({"op": "subscribe", "id": "a", "type": [1]}, 400, "#/type/0"),
        ({"op": "subscribe", "id": "a", "lag": "latest"}, 400, "#/lag"),
        ({"op": "subscribe", "id": "a", "topic": "x"}, 400, "#"),
        ({"op": "subscribe", "id": "a", "filter": [{"sql": "x"}]}, 400, "#/filter/0/sql"),
        ({"op": "subscribe", "id": "a", "filter": {}}, 400, "#/filter/0"),
        ({"op": "subscribe", "id": "a", "after": "no cursor"}, 400, None),
        ({"op": "unsubscribe", "id": "nobody"}, 404, None),
        ({"op": "publish", "id": "p"}, 400, None),
        ({"op": "publish", "id": "p", "event": {}, "events": []}, 400, None),
        ('{"op":"ping","op":"ping"}', 400, None),
    ],
)
def test_a_message_that_cannot_be_followed_is_answered_with_an_error(server, message, status, pointer):
    peer = server.v1()
    (error,) = peer.send(message)
    assert error["op"] == "error"
    assert error["problem"]["status"] == status
    assert [fault["pointer"] for fault in error["problem"].get("errors", [])] == ([pointer] if pointer else [])
    assert peer.send({"op": "ping", "id": "x"}) == [{"op": "pong", "id": "x"}]


def test_an_error_carries_the_id_of_what_it_answers(server):
    peer = server.v1()
    assert peer.send({"op": "subscribe", "id": "a", "type": 1})[0]["id"] == "a"
    assert "id" not in peer.send({"op": "subscribe", "id": 5})[0]


def test_publish_one_gives_a_receipt(server):
    peer = server.v1()
    message = {"op": "publish", "id": "p1", "event": event()}
    (receipt,) = peer.send(message)
    place = server.place()
    stored = {"id": "1", "source": SOURCE, "cursor": place, "durable": "memory"}
    assert receipt == {"op": "receipt", "id": "p1", "results": [stored]}
    assert peer.send(message)[0]["results"] == [stored | {"duplicate": True}]
    assert server.place() == place


def test_publish_takes_the_plain_form(server):
    peer = server.v1()
    (receipt,) = peer.send({"op": "publish", "id": "p", "event": {"type": "order", "data": 1}})
    (result,) = receipt["results"]
    assert result["id"]
    assert result["source"] == "/anonymous"


def test_a_batch_is_atomic_unless_partial(server):
    peer = server.v1()
    events = [event("1"), event("2", "refused"), {"specversion": "1.0", "id": "3"}]
    (receipt,) = peer.send({"op": "publish", "id": "p", "events": events})
    assert [result["problem"]["status"] for result in receipt["results"]] == [424, 424, 400]
    assert server.node.store.head() == 0
    (receipt,) = peer.send({"op": "publish", "id": "p", "events": events, "partial": True})
    good, refused, bad = receipt["results"]
    assert good["cursor"] == server.place()
    assert (refused["problem"]["status"], refused["problem"]["retry_after"]) == (429, 7)
    assert [fault["pointer"] for fault in bad["problem"]["errors"]] == ["#/source", "#/type"]


@pytest.mark.parametrize(("type", "status", "wait"), [("busy", 503, 3), ("broken", 500, None)])
def test_trouble_of_the_server_is_told_without_its_secrets(server, type, status, wait):
    peer = server.v1()
    (error,) = peer.send({"op": "publish", "id": "p", "event": event(type=type)})
    assert (error["op"], error["id"]) == ("error", "p")
    assert (error["problem"]["status"], error["problem"].get("retry_after")) == (status, wait)
    assert "secret" not in json.dumps(error)


def test_a_batch_is_bounded(make_server):
    peer = make_server(batch=2).v1()
    (error,) = peer.send({"op": "publish", "id": "p", "events": [event(str(n)) for n in range(3)]})
    assert error["problem"]["status"] == 413
    assert error["problem"]["limit"] == 2


def test_nothing_counts_behind_our_close(make_server):
    server = make_server(message="1KiB")
    peer = server.v1()
    late = {"op": "publish", "id": "p", "event": event()}
    peer.raw(peer.protocol.send(BytesMessage(b"x")) + peer.protocol.send(TextMessage(json.dumps(late))))
    peer.read()
    assert peer.closed[0] == 1003
    assert server.node.store.head() == 0


def test_every_client_message_of_the_reference_is_followed(server):
    blocks = re.findall(r"```json\n(.*?)```", REFERENCE.read_text(), re.DOTALL)
    v1, plain = server.v1(), Peer(server)
    plain.read()
    followed = 0
    for block in blocks:
        message = json.loads(block)
        if message.get("op") in ("subscribe", "unsubscribe", "publish", "ping"):
            followed += 1
            assert v1.send(message)[0]["op"] in ("subscribed", "unsubscribed", "receipt", "pong", "event")
        elif message.get("source") == "/shop" and "cursor" not in message:
            followed += 1
            assert [answer["type"] for answer in plain.send(message)][-1] != "eventstream.problem"
    assert followed == 6


def test_one_subscription_too_many_is_against_the_policy(make_server):
    peer = make_server(subscriptions=2).v1()
    for name in "ab":
        peer.send({"op": "subscribe", "id": name})
    (error,) = peer.send({"op": "subscribe", "id": "c"})
    assert (error["op"], error["id"]) == ("error", "c")
    assert peer.closed == (1008, "a connection carries at most 2 subscriptions")


# -- the protocol below ------------------------------------------------------------------------------


@pytest.fixture(params=["eventstream.v1", "cloudevents.json"])
def peer(server, request):
    peer = Peer(server, {"sec-websocket-protocol": request.param})
    peer.read()
    return peer


def test_a_ping_is_answered_with_its_payload(peer):
    peer.raw(peer.protocol.send(Ping(b"are you there")))
    peer.read()
    assert peer.control == [Pong(b"are you there")]


def test_a_pong_is_taken_in_silence(peer):
    peer.raw(peer.protocol.send(Pong(b"")))
    assert (peer.read(), peer.control, peer.closed) == ([], [], None)


def test_silence_is_broken_by_pings(server, peer):
    server.turn()
    for _ in range(2 * 25):
        server.world.clock += 1
        server.turn()
    assert peer.read() == []
    assert peer.control[0] == Ping(b"")
    assert 1 <= len(peer.control) <= 2


@pytest.mark.parametrize(("sent", "answer"), [(1000, 1000), (4321, 4321), (None, 1005)])
def test_a_close_is_answered(server, peer, sent, answer):
    peer.raw(peer.protocol.send(CloseConnection(sent)) if sent else b"\x88\x80\0\0\0\0")
    peer.read()
    assert peer.closed[0] == answer
    assert not server.node.hub.sinks


def test_binary_is_not_understood(server, peer):
    peer.raw(peer.protocol.send(BytesMessage(b"{}")))
    peer.read()
    assert peer.closed == (1003, "send JSON in text messages")
    assert not server.node.hub.sinks


@pytest.mark.parametrize(("data", "code"), [(b"\x81\x02{}", 1002), (b"\x81\x81\0\0\0\0\xff", 1007)])
def test_a_broken_frame_closes(peer, data, code):
    peer.raw(data)
    peer.read()
    assert peer.closed[0] == code


@pytest.mark.parametrize("pieces", [1, 4])
def test_a_message_too_big_closes(make_server, pieces):
    server = make_server(message="64KiB")
    peer = server.v1()
    part = "x" * ((1 << 16) // pieces + 1)
    for number in range(1, pieces + 1):
        peer.raw(peer.protocol.send(TextMessage(part, message_finished=number == pieces)))
    peer.read()
    assert peer.closed == (1009, "a message is at most 65536 bytes")
    assert not server.node.hub.sinks


def test_a_peer_that_vanishes_leaves_nothing(server, peer):
    if peer.response.headers["Sec-WebSocket-Protocol"] == "eventstream.v1":
        peer.send({"op": "subscribe", "id": "a"})
    peer.socket.close()
    server.turn()
    assert not server.node.hub.sinks
    assert not list(server.node.hub.groups)
    server.publish({})


@pytest.mark.parametrize("config", [{"heartbeat": 0}, {"message": "0B"}, {"subscriptions": 0}, {"path": "events"}])
def test_settings_that_cannot_work_are_refused(config):
    with pytest.raises(ValueError, match=r"heartbeat|message|>= 1|matching"):
        WebSocket.create(config)
