import gc
import struct
import tracemalloc

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, TextMessage
from wsproto.events import Ping as PingEvent
from wsproto.events import Pong as PongEvent

from eventstream.wire import websocket
from eventstream.wire.websocket import Binary, Close, Ping, Pong, Reader, Text, WebSocketError


@pytest.fixture
def client():
    return Connection(ConnectionType.CLIENT)


def masked(first, payload, mask=b"\x37\xfa\x21\x3d"):
    """A client's frame by hand: `first` is FIN, RSV and opcode."""
    size = len(payload)
    if size < 126:
        head = bytes([first, 0x80 | size])
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def read(reader, data):
    """Everything that comes out, with the error as the last item if there is one."""
    found = []
    try:
        found.extend(reader.feed(data))
    except WebSocketError as error:
        found.append((error.code, error.reason))
    return found


def code_of(data, limit=1000):
    *_, last = read(Reader(limit), data)
    return last[0]


# -- what goes out ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "expected"),
    [  # RFC 6455 section 5.7
        (websocket.text_frame(b"Hello"), "81 05 48 65 6c 6c 6f"),
        (websocket.ping_frame(b"Hello"), "89 05 48 65 6c 6c 6f"),
        (websocket.pong_frame(b"Hello"), "8a 05 48 65 6c 6c 6f"),
        (websocket.binary_frame(bytes(256))[:4], "82 7e 01 00"),
        (websocket.binary_frame(bytes(65536))[:10], "82 7f 00 00 00 00 00 01 00 00"),
        (websocket.close_frame(1001, "bye"), "88 05 03 e9 62 79 65"),
        (websocket.close_frame(1005), "88 00"),
    ],
)
def test_frames_are_those_of_the_specification(frame, expected):
    assert frame == bytes.fromhex(expected)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 200_000])
def test_a_client_reads_what_is_written(client, size):
    client.receive_data(websocket.text_frame(b"x" * size))
    assert "".join(event.data for event in client.events()) == "x" * size
    client.receive_data(websocket.binary_frame(b"\0" * size) + websocket.ping_frame(b"p") + websocket.pong_frame())
    *pieces, ping, pong = client.events()
    assert b"".join(event.data for event in pieces) == b"\0" * size
    assert (ping.payload, pong.payload) == (b"p", b"")


def test_a_long_close_reason_is_cut_between_characters(client):
    frame = websocket.close_frame(1008, "é" * 100)
    assert len(frame) - 2 <= 125
    client.receive_data(frame)
    (event,) = client.events()
    assert (event.code, event.reason) == (1008, "é" * 61)


def test_control_frames_never_pass_125_bytes():
    assert len(websocket.ping_frame(b"x" * 300)) == 127
    assert len(websocket.pong_frame(b"x" * 300)) == 127


# -- what comes in -----------------------------------------------------------------------------------


def test_messages_of_every_kind_in_one_read(client):
    data = b"".join(
        [
            client.send(TextMessage("héllo")),
            client.send(BytesMessage(b"\x00\xff")),
            client.send(PingEvent(b"are you there")),
            client.send(PongEvent(b"yes")),
            client.send(CloseConnection(1000, "done")),
        ]
    )
    assert read(Reader(100), data) == [
        Text("héllo".encode()),
        Binary(b"\x00\xff"),
        Ping(b"are you there"),
        Pong(b"yes"),
        Close(1000, "done"),
    ]


def test_byte_by_byte_gives_the_same(client):
    data = client.send(TextMessage("€" * 50)) + client.send(PingEvent(b"p")) + client.send(CloseConnection(4000, "ok"))
    reader = Reader(1000)
    found = [message for byte in data for message in reader.feed(bytes([byte]))]
    assert found == [Text(("€" * 50).encode()), Ping(b"p"), Close(4000, "ok")]


def test_fragments_are_joined_around_control_frames(client):
    reader = Reader(100)
    assert read(reader, client.send(TextMessage("Hel", message_finished=False))) == []
    assert read(reader, client.send(PingEvent(b"x"))) == [Ping(b"x")]
    assert read(reader, masked(0x00, b"")) == []
    assert read(reader, client.send(TextMessage("lo", message_finished=True))) == [Text(b"Hello")]
    assert read(reader, client.send(BytesMessage(b"a", message_finished=False))) == []
    assert read(reader, client.send(BytesMessage(b"b", message_finished=True))) == [Binary(b"ab")]


def test_a_character_may_be_split_over_fragments():
    euro = "€".encode()
    data = masked(0x01, euro[:1]) + masked(0x00, euro[1:2]) + masked(0x80, euro[2:])
    assert read(Reader(10), data) == [Text(euro)]


@pytest.mark.parametrize("fragment", [1, 7, 1000])
def test_the_bound_holds_however_the_message_is_cut(client, fragment):
    def message(size):
        pieces = [b"x" * min(fragment, size - begin) for begin in range(0, size, fragment)]
        last = len(pieces) - 1
        return b"".join(
            client.send(BytesMessage(piece, message_finished=number == last)) for number, piece in enumerate(pieces)
        )

    assert read(Reader(1000), message(1000)) == [Binary(b"x" * 1000)]
    assert read(Reader(1000), message(1001)) == [(1009, "a message is at most 1000 bytes")]


def test_the_bound_counts_bytes_not_characters():
    assert read(Reader(6), masked(0x81, "€€".encode())) == [Text("€€".encode())]
    assert code_of(masked(0x81, "€€".encode()), limit=5) == 1009


def test_the_bound_starts_anew_with_each_message(client):
    reader = Reader(10)
    for _ in range(5):
        assert read(reader, client.send(TextMessage("x" * 10))) == [Text(b"x" * 10)]
        pieces = client.send(TextMessage("x" * 5, message_finished=False)) + client.send(TextMessage("y" * 5))
        assert read(reader, pieces) == [Text(b"xxxxxyyyyy")]


def test_a_message_beyond_the_bound_is_refused_before_it_is_whole():
    begin = masked(0x82, bytes(1 << 20))[:5000]
    assert code_of(begin, limit=4096) == 1009


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x05Hello", 1002),  # not masked
        (masked(0xC1, b"x"), 1002),  # RSV1 without an extension
        (masked(0xA1, b"x"), 1002),
        (masked(0x91, b"x"), 1002),
        (masked(0x83, b""), 1002),  # reserved opcodes
        (masked(0x8B, b""), 1002),
        (masked(0x09, b""), 1002),  # a fragmented ping
        (masked(0x89, b"x" * 126), 1002),  # a ping too long
        (masked(0x80, b"x"), 1002),  # continues nothing
        (masked(0x01, b"x") + masked(0x81, b"y"), 1002),  # begins anew inside a message
        (b"\x81\xfe\x00\x05" + b"\0" * 9, 1002),  # a length longer than need be
        (b"\x82\xff\x80" + b"\0" * 7, 1002),  # a length with the top bit
        (masked(0x88, b"\x03"), 1002),  # half a close code
        (masked(0x88, struct.pack("!H", 999)), 1002),
        (masked(0x88, struct.pack("!H", 1005)), 1002),
        (masked(0x88, struct.pack("!H", 1006)), 1002),
        (masked(0x88, struct.pack("!H", 2999)), 1002),
        (masked(0x88, struct.pack("!H", 5000)), 1002),
        (masked(0x88, struct.pack("!H", 1000) + b"\xff"), 1007),
        (masked(0x81, b"\xff"), 1007),
        (masked(0x81, b"\xed\xa0\x80"), 1007),  # a surrogate
        (masked(0x81, b"\xe2\x82"), 1007),  # ends inside a character
        (masked(0x01, b"ok") + masked(0x80, b"\xc0\xaf"), 1007),
    ],
)
def test_against_the_protocol(data, code):
    assert code_of(data) == code


@pytest.mark.parametrize(
    "data",
    [
        masked(0x01, b"ok \xff"),  # the message is not over
        masked(0x81, b"ok \xf4\x90" + b"x" * 100)[:12],  # nor is the frame
    ],
)
def test_invalid_utf8_fails_before_the_message_is_whole(data):
    assert read(Reader(1000), data) == [(1007, "invalid UTF-8")]


def test_what_came_before_the_fault_still_counts(client):
    data = client.send(TextMessage("good")) + masked(0xF1, b"bad") + client.send(TextMessage("late"))
    reader = Reader(100)
    found = read(reader, data)
    assert found[0] == Text(b"good")
    assert found[1][0] == 1002
    assert len(found) == 2
    assert read(reader, client.send(TextMessage("later"))) == []


def test_nothing_follows_a_close(client):
    reader = Reader(100)
    assert read(reader, masked(0x88, b"") + masked(0x81, b"x")) == [Close(1005, "")]
    assert read(reader, masked(0x81, b"x")) == []


@pytest.mark.parametrize("payload", [b"", b"x", b"x" * 125])
def test_a_pong_alone_is_read_without_a_parser(payload):
    reader = Reader(100)
    assert read(reader, masked(0x8A, payload)) == [Pong(payload)]
    assert reader._connection is None
    two = masked(0x8A, payload) + masked(0x81, b"x")
    assert read(reader, two) == [Pong(payload), Text(b"x")]


def test_a_used_reader_stays_under_3_kib():
    gc.collect()
    tracemalloc.start()
    try:
        readers = [Reader(100) for _ in range(200)]
        for reader in readers:
            assert read(reader, masked(0x81, b"x" * 50)) == [Text(b"x" * 50)]
        gc.collect()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used / len(readers) < 3 * 1024
