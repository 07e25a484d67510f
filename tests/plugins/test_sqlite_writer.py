import threading
from types import SimpleNamespace

import pytest
from sqlite_commits import commits  # noqa: F401  # a fixture

from eventstream import Receipt, StoreBusy
from eventstream.testing.deadline import wait_until
from eventstream.testing.other_process import make_entry
from eventstream.testing.services import PlainServices
from eventstream.testing.store_fixtures import append, read_all
from eventstream_plugins.sqlite import Sqlite, turns
from eventstream_plugins.sqlite import writer as writer_module

pytestmark = pytest.mark.usefixtures("commits")


class Killed(BaseException):
    """What gevent raises in a greenlet that is killed."""


class GatedServices(PlainServices):
    """Calls wait at a gate while it is shut, as native calls do behind a slow disk."""

    def __init__(self, folder):
        super().__init__(folder)
        self.gate = threading.Event()
        self.gate.set()
        self.calls = 0
        self.kills = {}  # number of a call: what its caller is killed with, after the call

    def offload(self, call):
        self.calls += 1
        number = self.calls
        assert self.gate.wait(20)
        result = call()
        if number in self.kills:
            raise self.kills[number]
        return result


@pytest.fixture
def services(tmp_path):
    return GatedServices(tmp_path)


@pytest.fixture
def store(services):
    store = Sqlite.create({"path": "events.db"})
    store.open(services)
    yield store
    services.gate.set()
    store.close()


class Appender(threading.Thread):
    def __init__(self, store, name):
        super().__init__()
        self.store, self.id = store, name
        self.result = None
        self.start()

    def run(self):
        try:
            (self.result,) = self.store.append([make_entry(self.id)])
        except BaseException as error:  # noqa: BLE001  # what each got is what the tests look at
            self.result = error


def queued(store):
    return store._parts._writer._turns._queue


def start_queue(store, services, names):
    """Start one append that hangs in its native call, and the others behind it."""
    services.gate.clear()
    calls = services.calls
    leader = Appender(store, "leader")
    wait_until(lambda: services.calls > calls)
    others = [Appender(store, name) for name in names]
    wait_until(lambda: len(queued(store)) == len(names))
    return leader, others


def test_what_queues_during_a_commit_shares_the_next(store, services):
    leader, others = start_queue(store, services, [str(n) for n in range(20)])
    services.gate.set()
    for thread in [leader, *others]:
        thread.join()
    assert all(isinstance(thread.result, Receipt) for thread in [leader, *others])
    assert len(read_all(store)) == 21
    assert store.stats()["commits"] == 2


def test_a_commit_is_bounded(store, services, monkeypatch):
    monkeypatch.setattr(writer_module, "MAX_ROWS", 8)
    leader, others = start_queue(store, services, [str(n) for n in range(20)])
    services.gate.set()
    for thread in [leader, *others]:
        thread.join()
    assert len(read_all(store)) == 21
    assert store.stats()["commits"] == 4


@pytest.mark.parametrize("error", [Killed(), RuntimeError("a bug")])
def test_nobody_waits_for_a_dead_leader(store, services, error):
    leader, others = start_queue(store, services, ["a", "b", "c"])
    services.kills[services.calls] = error
    services.gate.set()
    for thread in [leader, *others]:
        thread.join(20)
        assert not thread.is_alive()
    assert leader.result is error
    assert all(isinstance(thread.result, Receipt) for thread in others)


def test_those_in_a_dead_leader_s_commit_get_no_receipt(store, services):
    first, others = start_queue(store, services, ["a", "b", "c"])
    services.kills[services.calls + 1] = Killed()
    services.gate.set()
    for thread in [first, *others]:
        thread.join(20)
    assert isinstance(first.result, Receipt)
    assert isinstance(others[0].result, Killed)
    assert all(isinstance(thread.result, StoreBusy) for thread in others[1:])
    repeats = store.append([make_entry(name) for name in "abc"])  # written, though nobody was told
    assert all(receipt.duplicate for receipt in repeats)


def test_one_that_gives_up_leaves_the_queue(store, services, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", 0.05)
    leader, (other,) = start_queue(store, services, ["a"])
    other.join(20)
    assert isinstance(other.result, StoreBusy)
    assert not queued(store)
    with pytest.raises(StoreBusy, match="takes"):
        append(store, "not even queued")
    services.gate.set()
    leader.join(20)
    assert isinstance(leader.result, StoreBusy)  # its turn came too late
    assert [record.offset for record in read_all(store)] == []
    assert append(store, "a") == [1]


def test_one_killed_when_it_is_to_lead_passes_it_on(store, services, monkeypatch):
    class Deadly(threading.Event):
        def wait(self, timeout=None):
            super().wait(timeout)
            raise Killed

    leader, _ = start_queue(store, services, [])
    with monkeypatch.context() as patch:
        patch.setattr(turns, "threading", SimpleNamespace(Event=Deadly, Thread=threading.Thread))
        victim = Appender(store, "victim")
        wait_until(lambda: len(queued(store)) == 1)
    heir = Appender(store, "heir")
    wait_until(lambda: len(queued(store)) == 2)
    services.gate.set()
    for thread in (leader, victim, heir):
        thread.join(20)
    assert isinstance(victim.result, Killed)
    assert isinstance(heir.result, Receipt)
    assert len(read_all(store)) == 2


def test_closing_waits_for_the_commit_under_way(store, services):
    leader, others = start_queue(store, services, ["a"])
    closing = threading.Thread(target=store.close)
    closing.start()
    wait_until(lambda: store._open is None or store._parts._writer._turns._closed.is_set())
    services.gate.set()
    closing.join(20)
    for thread in [leader, *others]:
        thread.join(20)
        assert isinstance(thread.result, Receipt)


def test_an_entry_that_is_no_text_harms_only_its_own_call(store, services):
    leader, others = start_queue(store, services, ["a"])
    with pytest.raises(UnicodeEncodeError):
        store.append([make_entry("\ud800", json=b"{}")])
    with pytest.raises(UnicodeEncodeError):
        store.append([make_entry("b", type="\ud800")])
    services.gate.set()
    for thread in [leader, *others]:
        thread.join()
        assert isinstance(thread.result, Receipt)
