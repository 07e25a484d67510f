"""Streams stand on an identity: they end when it does, and are refused what it may not have."""

import json
import re
from dataclasses import replace

import pytest
from runtime.hub_room import Room, World

from eventstream import EVERYTHING, Event, Filter, Grant, Identity, Key, Keys, Reject
from eventstream.config.model import Auth, Granted
from eventstream.runtime.access import Access
from eventstream.runtime.leases import SLACK, Leases
from eventstream.runtime.revocations import Revocations, revoke
from eventstream.telemetry.audit import Audit
from eventstream_plugins.memory import MemoryLedger
from eventstream_plugins.sse import PLAIN

GRANTS = (
    Granted(("shop", "till"), (Grant("subscribe", Filter({"type": ["t"]})),)),
    Granted(("all",), (Grant("subscribe"),)),
)


class Guarded(Room):
    """A room whose hub knows who asks. Wall time is the world's clock."""

    def __init__(self, *, audit=None, keys=None):
        world = World()
        ledger = MemoryLedger(world)
        revocations = Revocations(ledger, world.now)
        self.told = []
        self.access = Access(Auth((), GRANTS), revocations, world.now, lambda *told: self.told.append(told), keys)
        self.leases = Leases(self.access, audit, world.now)
        super().__init__(leases=self.leases)
        self.world = world
        self.hub._platform = self.hub.sinks._platform = world
        revocations.watch(self.hub.revoke)
        self.ledger = ledger

    def check_empty(self):
        super().check_empty()
        leases = self.leases
        assert not leases._identities
        assert not leases._by_credential
        assert not leases._reasons
        assert len(leases._expiries) <= SLACK


@pytest.fixture
def room():
    room = Guarded()
    yield room
    room.close()


def who(name="shop", *credentials, **given):
    return Identity(name, "test", credentials, **given)


def goodbyes(peer):
    """Return the reasons of the goodbyes at the end of what came."""
    peer.take()
    return [json.loads(data)["reason"] for data in re.findall("event: goodbye\ndata: (.*)", peer.raw.decode())]


def test_a_filter_that_is_not_granted_is_refused_whatever_the_output_asked(room):
    peer = room.connect(identity=who())
    with pytest.raises(Reject) as caught:
        peer.sink.subscribe(EVERYTHING, PLAIN, room.places.start(None))
    assert caught.value.status == 403
    with pytest.raises(Reject):
        room.connect().sink.subscribe(room.types("t"), PLAIN, room.places.start(None))  # it forgot who asks
    assert not room.hub.groups
    assert [told[1] for told in room.told] == [who(), None]


def test_a_stream_ends_at_the_second_its_credential_does(room):
    peer = room.subscribe(filter=room.types("t"), identity=who(expires=1010.0))
    other = room.subscribe(filter=room.types("t"), identity=who(expires=1010.5))
    room.append(3)
    room.world.clock = 1009.9
    room.turn()
    assert len(peer.offsets()) == 3
    assert not peer.closed
    assert 0 < room.leases.wait(1.0) <= 0.11
    room.world.clock = 1010.0
    room.turn()
    assert goodbyes(peer) == ["expired"]
    assert peer.closed
    room.append()
    room.turn()
    assert len(other.offsets()) == 4
    other.take()
    assert not other.closed


def test_the_place_is_told_before_the_goodbye(room):
    peer = room.subscribe(filter=room.types("t"), identity=who(expires=1010.0))
    room.append(type="other")
    room.turn()
    room.world.clock = 1010.0
    room.turn()
    peer.take()
    *_, cursor, goodbye, retry = peer.raw.decode().split("\n\n")
    assert cursor.endswith("-1")
    assert goodbye.startswith("event: goodbye")
    assert retry.startswith("retry: ")


@pytest.mark.parametrize("credential", ["token:1", "name:shop"])
def test_a_revocation_ends_every_stream_of_the_credential_and_no_other(room, credential):
    ours = [room.subscribe(filter=room.types("t"), identity=who("shop", "token:1", "key:k")) for _ in range(3)]
    others = [room.subscribe(filter=room.types("t"), identity=one) for one in (who("till", "token:2"), who("all"))]
    revoke(room.ledger, credential, 60)
    room.turn()
    assert [goodbyes(peer) for peer in ours] == [["revoked"]] * 3
    assert all(peer.closed for peer in ours)
    room.append()
    room.turn()
    assert [len(peer.offsets()) for peer in others] == [1, 1]


def test_a_revocation_between_the_request_and_the_stream_ends_it(room):
    identity = who("shop", "token:1")
    revoke(room.ledger, "token:1", 60)
    room.turn()
    peer = room.connect(identity=identity)
    with pytest.raises(Reject):
        peer.sink.subscribe(room.types("t"), PLAIN, room.places.start(None))
    room.turn()
    assert goodbyes(peer) == ["revoked"]
    assert peer.closed


def test_one_that_does_not_read_is_cut_and_gets_nothing_more(room):
    peer = room.subscribe(filter=room.types("t"), identity=who(expires=1010.0), buffer=4096)
    room.append(50, size=4000)
    room.turn()
    assert peer.sink.blocked_at
    room.world.clock = 1010.0
    room.turn()
    assert peer.sink.ending
    before = peer.sink.queued
    room.append(50, size=4000)
    room.turn()
    assert peer.sink.queued == before
    room.world.clock = 1016.0
    room.turn()
    assert peer.sink.closed


class Changing(Keys):
    """Keys of which one is given an end."""

    revision = 0
    key = Key("till-1", "till", "api-key")

    def of(self, name):
        return (self.key,) if name in ("till-1", "till") else ()


def test_a_stream_ends_with_its_key_also_when_that_is_given_an_end_later():
    keys = Changing()
    room = Guarded(keys=keys)
    peer = room.subscribe(filter=room.types("t"), identity=who("till", "key:till-1"))
    other = room.subscribe(filter=room.types("t"), identity=who("till", "key:till-2"))
    keys.key, keys.revision = replace(keys.key, state="retiring", expires=1010.0), 1  # rotated
    room.turn()
    assert 0 < room.leases.wait(99.0) <= 10.0
    assert room.access.ended(who("till", "key:till-1")) is None
    room.world.clock = 1010.0
    room.turn()
    assert goodbyes(peer) == ["expired"]
    assert room.access.ended(who("till", "key:till-1")) == "expired"
    assert room.access.publisher(who("till", "key:till-1"))(Event(id="1", source="/s", type="t")).status == 401
    other.take()
    assert not other.closed
    room.close()


def test_many_that_end_at_once_let_others_run(room):
    for _ in range(300):
        room.subscribe(filter=room.types("t"), identity=who(expires=1010.0))
    room.turn()
    pauses = room.world.pauses
    room.world.clock = 1010.0
    room.turn()
    assert room.world.pauses - pauses >= 2
    assert len(room.hub.sinks) == 0


def test_those_that_left_are_forgotten_before_they_expire(room):
    for _ in range(500):
        peer = room.subscribe(filter=room.types("t"), identity=who(expires=9e9))
        room.hub.sinks.lose(peer.sink, "left")
    assert len(room.leases._expiries) <= SLACK + 1


def test_a_clock_that_jumps_back_ends_nothing_early_and_one_that_jumps_on_at_once(room):
    peer = room.subscribe(filter=room.types("t"), identity=who(expires=1010.0))
    room.world.clock = 10.0
    room.turn()
    assert room.leases.wait(1.0) == 1.0
    assert not peer.sink.closed
    room.world.clock = 99999.0
    room.turn()
    assert goodbyes(peer) == ["expired"]


class Lines(list):
    """A logger that keeps its lines."""

    def info(self, event, **facts):
        self.append((event, facts))


def test_the_audit_log_is_told_who_subscribed_and_left_and_why():
    lines = Lines()
    room = Guarded(audit=Audit(lines, 100))
    peer = room.subscribe(filter=room.types("t"), identity=who(expires=1010.0))
    room.world.clock = 1010.0
    room.turn()
    assert peer.sink.closed
    room.close()
    assert lines == [
        ("subscribed", {"identity": "shop", "by": "test", "output": "sse", "filter": '[{"type":["t"]},[]]'}),
        ("left", {"identity": "shop", "by": "test", "output": "sse", "reason": "expired"}),
    ]
