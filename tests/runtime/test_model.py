"""Random histories and random peers against a model: the store's sequence, or a gap exactly where it was trimmed."""

import random
import time
from functools import partial

import pytest
from runtime.hub_room import Direct, Echoing, Quota, Records, Room

from eventstream.components.store import Keep
from eventstream.events.filter import Filter

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
        kind = chance.choice([Quota, Direct, Direct, partial(Records, record=1500)])
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


class World:
    """A room and everybody in it; `move` does one thing by chance."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.room = Room(
            store=Echoing,
            tail_bytes=self.chance.choice([2000, 20_000, 1 << 20]),
            keep=Keep(events=self.chance.choice([500, 10**6])),
        )
        self.history = {}
        self.subscribers = []
        self.moves = [self.append] * 5 + [self.read] * 4 + [self.pump] * 3 + [self.serve] * 2
        self.moves += [self.join, self.join, self.leave, self.trim, self.tick, self.read_in_between]

    def move(self):
        self.chance.choice(self.moves)()

    def append(self):
        chance, room = self.chance, self.room
        count = chance.choice([1, 1, 2, 5, 200])
        type_ = chance.choice(["a", "ab", "b", "c"]) if chance.random() < 0.99 else "rare"
        subject, size = chance.choice([None, "s1", "s22", "s3"]), chance.choice([0, 0, 100, 3000])
        room.store.own = chance.random() < 0.7
        offsets = room.append(count, type=type_, subject=subject, size=size, deliver=chance.random() < 0.95)
        place = offsets[0] - 1
        while place < offsets[-1]:
            page = room.store.read(place, count)
            self.history.update((record.offset, record) for record in page.records)
            place = page.next

    def join(self):
        if len(self.subscribers) < 25:
            self.subscribers.append(Subscriber(self.room, self.chance))

    def leave(self):
        if len(self.subscribers) > 5:
            gone = self.subscribers.pop(self.chance.randrange(len(self.subscribers)))
            self.room.hub.sinks.lose(gone.peer.sink, "test")

    def trim(self):
        self.room.store.trim()

    def tick(self):
        self.room.world.clock += 1.0

    def read(self):
        if self.subscribers:
            self.chance.choice(self.subscribers).read(self.room)

    def read_in_between(self):
        """Somebody acts wherever the runtime lets others run."""
        self.room.world.paused = self.read

    def pump(self):
        self.room.hub.pump()

    def serve(self):
        if self.room.hub.catch_up.behind:
            self.room.replay.serve(self.room.hub.catch_up.behind.popleft())


@pytest.mark.parametrize("seed", range(4))
def test_every_subscriber_gets_the_store_s_sequence(seed):
    world = World(seed)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end or len(world.history) < 200 or len(world.subscribers) < 6:
        world.move()
    for subscriber in world.subscribers:
        subscriber.peer.connection.allowed = 1 << 40
    world.room.settle()
    for subscriber in world.subscribers:
        assert subscriber.judge(world.history) == []
    world.room.close()
