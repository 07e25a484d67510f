"""The stream and the page that need no handed-over socket."""

import threading
import time

from runtime.hub_room import Room

from eventstream.components.output import Start
from eventstream.components.store import Keep
from eventstream.runtime import follow
from eventstream_plugins.sse import PLAIN


def frames_of(room, start=None, heartbeat=0.02, count=1):
    room.growth = follow.Growth()
    room.store.watch(room.growth.grown, lambda payload: None)
    stop = []
    stream = follow.frames(
        room.store, room.growth, room.types("t"), PLAIN, start or Start(0),
        cursor=room.places.text, heartbeat=heartbeat, ended=lambda: "" if stop else None,
    )  # fmt: skip
    taken = [next(stream) for _ in range(count)]
    stop.append(True)
    *rest, goodbye = stream
    assert rest in ([], [PLAIN.idle()])
    assert goodbye.startswith(b"retry: ")
    return taken


def test_a_stream_begins_with_its_place_and_brings_everything():
    room = Room()
    room.append(450)
    opening, *pages = frames_of(room, count=4)
    assert opening == PLAIN.cursor(room.places.text(0))
    assert b"".join(pages) == b"".join(
        PLAIN.event(record, room.places.text(record.offset)) for record in room.store.read(0, 500).records
    )
    room.close()


def test_a_stream_that_is_quiet_tells_its_place_once_and_then_lives():
    room = Room()
    room.append(3, type="other")
    assert frames_of(room, count=3)[1:] == [PLAIN.cursor(room.places.text(3)), PLAIN.idle()]
    room.close()


def test_a_stream_is_told_of_what_retention_took():
    room = Room(keep=Keep(events=2))
    room.append(10)
    room.store.trim()
    _, gap, events = frames_of(room, start=Start(4), count=3)
    assert b"event: gap" in gap
    assert b'"overflow"' in gap
    assert events.count(b"\n\n") == 2
    room.close()


def test_a_page_is_waited_for():
    room = Room()
    growth = follow.Growth()
    room.store.watch(growth.grown, lambda payload: None)
    room.append(2, type="other")
    later = threading.Timer(0.05, room.append, kwargs={"type": "t"})
    later.start()
    began = time.monotonic()
    page = follow.wait_page(room.store, growth, room.types("t"), 0, 10, wait=20.0)
    assert [record.offset for record in page.records] == [3]
    assert time.monotonic() - began < 10
    later.join()
    empty = follow.wait_page(room.store, growth, room.types("t"), 3, 10, wait=0.02)
    assert (empty.records, empty.next) == ([], 3)
    room.close()
