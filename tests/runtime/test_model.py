"""Random histories and random peers against a model: the store's sequence, or a gap exactly where it was trimmed."""

import random
import time

import pytest
from eventstream.components.store import Keep
from eventstream.events.filter import Filter
from runtime.hub_room import Quota, Records, Room

SECONDS = 0.7  # for each seed
FILTERS = [
    Filter(),
    Filter({"type": ["a"]}),
    Filter({"type": ["a*", "b"]}),
    Filter({"subject": ["s1", "s2*"]}),
    Filter({}, [{"suffix": {"type": "b"}}]),
    Filter({"type": ["rare"]}),
]


class Subscriber:
    """A peer, and where it began."""

    def __init__(self, room, chance):
        self.chance = chance
        self.filter = chance.choice(FILTERS)
        kind = chance.choice([Quota, Records])
        head = room.store.head()
        self.start = head if chance.random() < 0.3 else chance.randint(max(0, head - 3000), head)
        self.peer = room.subscribe(
            after=self.start,
            filter=self.filter,
            heartbeat=3.0,
            connection=lambda sock: kind(sock, chance.randint(0, 3000)),
        )

    def read(self, room):
        self.peer.take(self.chance.randint(1, 20_000))
        self.peer.connection.allowed += self.chance.choice([0, 1, 17, 500, 20_000, 200_000])
        room.hub.writable(self.peer.sink)

    def judge(self, history):
        """Walk through the frames; everything that matches is there, but what a gap names."""
        wanted = [offset for offset, record in history.items() if offset > self.start and self.filter.matches(record)]
        place, position = self.start, 0
        for kind, offset, data in self.peer.frames():
            assert offset >= place, (kind, offset, place)
            if kind == "gap":
                requested = int(data["requested"].rpartition("-")[2])
                assert requested >= place
                while position < len(wanted) and wanted[position] <= offset:
                    assert wanted[position] > requested, "a gap begins where the last frame ended"
                    position += 1
            elif kind == "event":
                assert wanted[position] == offset
                position += 1
            else:
                assert position == len(wanted) or wanted[position] > offset, "a place ahead of an event"
            place = offset
        return wanted[position:]


@pytest.mark.parametrize("seed", range(4))
def test_every_subscriber_gets_the_store_s_sequence(seed):
    chance = random.Random(seed)
    room = Room(tail_bytes=chance.choice([2000, 20_000, 1 << 20]), keep=Keep(events=chance.choice([500, 10**6])))
    history, subscribers, gone = {}, [], []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        move = chance.random()
        if move < 0.25:
            count = chance.choice([1, 1, 2, 5, 200])
            type_ = chance.choice(["a", "ab", "b", "c"]) if chance.random() < 0.99 else "rare"
            offsets = room.append(
                count, type=type_, subject=chance.choice([None, "s1", "s22", "s3"]), size=chance.choice([0, 0, 100, 3000]),
                deliver=chance.random() < 0.95,
            )  # fmt: skip
            place = offsets[0] - 1
            while place < offsets[-1]:
                page = room.store.read(place, count)
                history.update((record.offset, record) for record in page.records)
                place = page.next
        elif move < 0.35 and len(subscribers) < 25:
            subscribers.append(Subscriber(room, chance))
        elif move < 0.38 and subscribers:
            gone.append(subscribers.pop(chance.randrange(len(subscribers))))
            room.hub.sinks.lose(gone[-1].peer.sink, "test")
        elif move < 0.42:
            room.store.trim()
        elif move < 0.45:
            room.world.clock += 1.0
        elif move < 0.55 and subscribers:  # somebody acts wherever the runtime lets others run
            busy = chance.choice(subscribers)
            room.world.paused = lambda busy=busy: busy.read(room)
        elif move < 0.75 and subscribers:
            chance.choice(subscribers).read(room)
        elif move < 0.9:
            room.hub.pump()
        elif room.hub.catch_up.behind:
            room.replay.serve(room.hub.catch_up.behind.popleft())
    for subscriber in subscribers:
        subscriber.peer.connection.allowed = 1 << 40
    room.settle()
    for subscriber in subscribers:
        assert subscriber.judge(history) == []
    assert len(history) > 200
    assert len(subscribers) > 5
    room.close()
