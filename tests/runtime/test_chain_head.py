"""Two workers on one store and ledger tell of each head once."""

import pytest

from eventstream import Duration
from eventstream.components.chain import Chain
from eventstream.runtime.chain_head import ChainHead
from eventstream.testing.deadline import Clock
from eventstream.testing.services import PlainServices
from eventstream.testing.store_fixtures import append
from eventstream_plugins.sqlite import Sqlite


class Workers:
    def __init__(self, folder):
        self.clock = Clock()
        self.told = []
        self.opened = []
        self.folder = folder
        self.workers = [self.add(), self.add()]
        self.store = self.opened[0][0]

    def add(self):
        store = Sqlite.create({"path": "events.db"})
        store.chained = True
        store.open(PlainServices(self.folder, self.clock))
        ledger = store.open_ledger()
        self.opened.append((store, ledger))
        chain = Chain(events=10, every=Duration(60))
        return ChainHead(chain, store, ledger, lambda head: self.told.append(head.offset))

    def look(self, seconds=1):
        """Let seconds go by, each of which ends with a look of each worker."""
        for _ in range(seconds):
            self.clock.advance(1)
            for worker in self.workers:
                worker.observe()

    def append(self, count):
        append(self.store, *(f"{self.store.head()}.{n}" for n in range(count)))

    def close(self):
        for store, ledger in self.opened:
            ledger.close()
            store.close()


@pytest.fixture
def workers(tmp_path):
    workers = Workers(tmp_path)
    yield workers
    workers.close()


def test_nothing_is_told_of_an_empty_chain(workers):
    workers.look(120)
    assert workers.told == []


def test_the_first_head_is_told_at_once_and_no_standing_one_again(workers):
    workers.append(3)
    workers.look(200)
    assert workers.told == [3]


def test_a_moved_head_is_told_in_time(workers):
    workers.append(1)
    workers.look()
    workers.append(3)
    workers.look(50)
    assert workers.told == [1]
    workers.look(11)
    assert workers.told == [1, 4]
    workers.look(200)
    assert workers.told == [1, 4]


def test_many_events_are_told_before_their_time(workers):
    workers.append(1)
    workers.look()
    for _ in range(5):
        workers.append(7)
        workers.look()
    assert workers.told == [1, 15, 29]


def test_a_worker_that_starts_does_not_repeat(workers):
    workers.append(5)
    workers.look(100)
    workers.workers.append(workers.add())
    workers.look(100)
    assert workers.told == [5]
    workers.append(1)
    workers.look()
    assert workers.told == [5, 6]
