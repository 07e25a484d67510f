"""Encryption at rest: a sealed store keeps a store's promises, and its file gives nothing away."""

import json
import os
import sqlite3
from pathlib import Path

import pytest

from eventstream import (
    EVERYTHING,
    Conflict,
    Entry,
    Key,
    Keys,
    Receipt,
    Record,
    Store,
    StoreBusy,
    from_mapping,
    parse_filter,
)
from eventstream.components.cipher import AtRest
from eventstream.events.codec import encode, split_data
from eventstream.runtime.at_rest import SealedStore, _derive
from eventstream.runtime.follow import Growth, wait_page
from eventstream.runtime.wrapped import WrappedStore
from eventstream.testing.deadline import Clock
from eventstream.testing.services import PlainServices
from eventstream.testing.step_runner import installed
from eventstream.testing.store_contract import StoreContract

SECRET, NEWER, LOST = bytes(range(32)), bytes(range(1, 33)), bytes(range(2, 34))


def disk(kid="disk-1", secret=SECRET, **fields):
    return Key(kid, "disk", "secret", private=secret, purpose="at-rest", **fields)


def sealed(path, key="disk"):
    inner = installed().get("store", "sqlite").component.create({"path": str(path)})
    return SealedStore(inner, AtRest(key, installed().get("cipher", "xchacha20poly1305").component.create()))


class KeyedServices(PlainServices):
    def __init__(self, folder, clock, *keys):
        super().__init__(folder, clock)
        self.keys = Keys(keys or [disk()])


class SealedSqlite(SealedStore):
    def open(self, services):
        services.keys = Keys([disk()])
        super().open(services)


class TestSealedSqlite(StoreContract):
    shared = False  # another process could not import what is defined here
    can_chain = False  # the chain is over what is stored: the inner store keeps it

    def make_store(self, path: Path) -> Store:
        inner = installed().get("store", "sqlite").component.create({"path": str(path)})
        return SealedSqlite(inner, AtRest("disk", installed().get("cipher", "xchacha20poly1305").component.create()))


def test_everything_of_a_store_is_passed_on():
    public = {name for name in vars(Store) if not name.startswith("_") and callable(getattr(Store, name))}
    assert len(public) > 10
    assert public - vars(WrappedStore).keys() == set()


@pytest.fixture
def services(tmp_path):
    return KeyedServices(tmp_path, Clock())


@pytest.fixture
def store(services):
    store = sealed("events.db")
    store.open(services)
    yield store
    store.close()


@pytest.fixture
def raw(store, tmp_path):
    """A function that returns the stored rows."""

    def raw(sql="SELECT json FROM events ORDER BY offset"):
        with sqlite3.connect(tmp_path / "events.db") as connection:
            return [bytes(row[0]) for row in connection.execute(sql)]

    return raw


def entry(ident="1", data="planted-secret", fingerprint=None, **fields):
    given = {"specversion": "1.0", "id": ident, "source": "/s", "type": "t", **fields}
    if data is not None:
        given["data"] = data
    incoming = from_mapping(given)
    event = incoming.event
    print_ = incoming.fingerprint if fingerprint is None else fingerprint
    return Entry(event.id, event.source, event.type, event.subject, print_, encode(event))


ENTRIES = [
    entry(),
    entry(data={"deep": [{"data": ',"data":"x"', "data_sealed": 1}]}, subject=',"data":'),
    entry(data=',"data_sealed":{"v":1}'),
    entry(data=None),
    entry(data=None, data_base64="cGxhbnRlZA=="),
    entry(data=[None, 1.5, "ü\u2028"], datax="1", adata="2", note='","data":"'),
]


def test_what_comes_out_is_what_went_in_byte_for_byte(store, raw):
    entries = [one._replace(id=str(number)) for number, one in enumerate(ENTRIES)]
    store.append(entries)
    assert [record.json for record in store.read(0, 10).records] == [one.json for one in entries]
    rows = [json.loads(row) for row in raw()]
    assert [row.get("data") for row in rows] == [None] * len(rows)
    assert ["data_sealed" in row for row in rows] == [True, True, True, False, True, True]
    assert [row.get("subject") for row in rows][1] == ',"data":'
    assert rows[0]["data_sealed"]["kid"] == "disk-1"


def test_split_finds_the_data_behind_any_attribute():
    for one in ENTRIES:
        at = split_data(one.json)
        fields = json.loads(one.json)
        assert (at < 0) == (not {"data", "data_base64"} & fields.keys())
        if at >= 0:
            head = json.loads(one.json[:at] + b"}")
            assert head == {name: value for name, value in fields.items() if name not in ("data", "data_base64")}


def test_no_file_of_the_store_holds_what_was_planted(store, tmp_path, services):
    planted = [f"planted-{number}-" + os.urandom(8).hex() for number in range(300)]
    store.append([entry(str(number), {"word": word}, subject=f"s{number}") for number, word in enumerate(planted)])
    store.backup(str(tmp_path / "copy.db"))
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(b"s299" in content for content in files) >= 2  # we do look at the right files
    assert not any(word.encode() in content for word in planted for content in files)
    prints = {from_mapping(json.loads(record.json)).fingerprint for record in store.read(0, 1000).records}
    assert len(prints) == 300
    assert not any(one in content for one in prints for content in files)


def test_filters_see_every_attribute(store):
    store.append([entry("1", region="eu"), entry("2", region="us"), entry("3", type="u")])
    for parameters, expected in [
        ({"type": ["u"]}, ["3"]),
        ({"filter": ['{"exact": {"region": "eu"}}']}, ["1"]),
        ({"filter": ['{"not": {"exact": {"region": "us"}}}']}, ["1", "3"]),
    ]:
        found = store.read(0, 10, parse_filter(parameters)).records
        assert [json.loads(record.json)["id"] for record in found] == expected
        assert all(b"planted" in record.json for record in found)


def test_without_an_active_key_nothing_is_stored(store, services):
    for keys in ([], [disk(state="retiring")], [disk(expires=1)], [disk(state="revoked")]):
        services.keys = Keys(keys)
        with pytest.raises(StoreBusy, match="no active secret key of disk") as caught:
            store.append([entry()])
        assert caught.value.retry_after > 0
    services.keys = Keys([Key("disk-1", "disk", "secret", private=SECRET, purpose="seal")])
    with pytest.raises(StoreBusy):
        store.append([entry()])
    assert store.head() == 0


def test_a_rotated_key_opens_what_it_sealed_also_once_it_is_expired(store, services, raw):
    store.append([entry("1")])
    services.keys = Keys([disk("disk-2", NEWER), disk(state="retiring", expires=1)])
    store.append([entry("2")])
    assert len(store.read(0, 10).records) == 2
    assert [json.loads(row)["data_sealed"]["kid"] for row in raw()] == ["disk-1", "disk-2"]


def test_keys_of_the_section_keys_may_be_numbered_anew(store, services):
    services.keys = Keys([disk("disk")])
    store.append([entry("1")])
    services.keys = Keys([disk("disk", NEWER), disk("disk-2")])
    assert len(store.read(0, 10).records) == 1


@pytest.mark.parametrize("atomic", [True, False])
def test_a_repeat_is_known_under_older_keys_and_from_before_the_sealing(store, services, atomic):
    WrappedStore.append(store, [entry("plain")])
    store.append([entry("old")])
    services.keys = Keys([disk("disk-2", NEWER), disk(state="retiring")])
    results = store.append([entry("plain"), entry("new"), entry("old"), entry("new")], atomic=atomic)
    assert [result.duplicate for result in results] == [True, False, True, True]
    assert store.head() == 3
    other = [entry("x"), entry("old", "other"), entry("plain")]
    results = store.append(other, atomic=atomic)
    assert results[1] == Conflict("old", "/s")
    assert (results[0] is None) == atomic
    assert isinstance(results[2], Receipt)
    assert store.head() == (3 if atomic else 4)


def alter(tmp_path, sql):
    with sqlite3.connect(tmp_path / "events.db") as connection:
        assert connection.execute(sql).rowcount > 0


def ids(page):
    return [json.loads(record.json)["id"] for record in page.records]


def test_what_does_not_open_is_a_gap(store, services, tmp_path):
    store.append([entry(str(number), type="tu"[number % 2]) for number in range(1, 9)])
    services.clock.now += 60
    for change in ('\'"id":"3"\', \'"id":"9"\'', '\'"id":"4"\', \'"id":"9"\''):
        alter(tmp_path, f"UPDATE events SET json = replace(json, {change}) WHERE offset IN (3, 4)")
    page = store.read(0, 10)
    assert (ids(page), page.next, page.trimmed) == (["1", "2"], 2, 0)
    page = store.read(page.next, 10)
    assert (ids(page), page.next, page.trimmed) == (["5", "6", "7", "8"], 8, 4)
    odd = parse_filter({"type": ["u"]})
    page = store.read(0, 10, odd)
    assert (ids(page), page.next) == (["1"], 2)
    page = store.read(page.next, 10, odd)
    assert (ids(page), page.trimmed) == (["5", "7"], 3)
    assert services.counts["at_rest_unreadable"] == 3
    assert store.stats()["unreadable"] == 3


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("UPDATE events SET json = replace(json, '\"v\":1', '\"v\":2')", "version"),
        ('UPDATE events SET json = replace(json, \'"kid":"disk-1"\', \'"kid":"lost"\')', "no_key"),
        ('UPDATE events SET json = replace(json, \'"source":"/s"\', \'"source":"/t"\')', "altered"),
        ('UPDATE events SET json = replace(json, \'"data":"\', \'"data":"AAAA\')', "altered"),
        ('UPDATE events SET json = replace(json, \'"data":"\', \'"data":"?\')', "malformed"),
        ('UPDATE events SET json = replace(json, \'"data":"\', \'"more":"\')', "malformed"),
        ("UPDATE events SET json = substr(json, 1, 90)", "malformed"),
    ],
)
def test_altered_rows_are_logged_by_reason_and_never_delivered(store, services, tmp_path, capsys, sql, reason):
    store.append([entry()])
    services.clock.now += 60
    if reason == "no_key":
        services.keys = Keys([disk("other", LOST)])
    alter(tmp_path, sql)
    assert store.read(0, 10)[:2] == ([], 1)
    logged = capsys.readouterr().out
    assert reason in logged
    assert "planted" not in logged


def test_a_page_of_lost_events_is_told_of_although_others_follow(store, services, tmp_path):
    store.append([entry(str(number)) for number in range(1, 6)])
    alter(tmp_path, "UPDATE events SET json = replace(json, '\"source\":', '\"sauce\":') WHERE offset <= 3")
    page = wait_page(store, Growth(), EVERYTHING, 0, 2, 0.0)
    assert (page.records, page.next, page.trimmed) == ([], 2, 2)
    page = wait_page(store, Growth(), EVERYTHING, 2, 2, 0.0)
    assert (ids(page), page.trimmed) == (["4"], 3)


def test_no_key_shows_in_a_repr():
    assert "\\x" not in repr(_derive(SECRET))


def test_a_revoked_key_opens_nothing(store, services):
    store.append([entry()])
    services.keys = Keys([disk("disk-2", NEWER), disk(state="revoked")])
    page = store.read(0, 10)
    assert (page.records, page.trimmed) == ([], 1)


def test_a_key_that_has_just_been_made_elsewhere_is_waited_for(store, services):
    services.keys = Keys([disk("disk-2", NEWER), disk()])
    store.append([entry()])
    services.keys = Keys([disk()])
    with pytest.raises(StoreBusy, match="not known here yet"):
        store.read(0, 10)
    services.keys = Keys([disk("disk-2", NEWER), disk()])
    assert len(store.read(0, 10).records) == 1
    services.keys = Keys([disk()])
    services.clock.now += 6
    assert store.read(0, 10).trimmed == 1


def test_a_large_event_leaves_the_loop_and_a_long_batch_pauses(store, services):
    calls, pauses = [], []
    plain = services.offload
    services.offload = lambda call: (calls.append(1), plain(call))[1]
    services.pause = lambda: pauses.append(1)
    store.append([entry("1", "x" * 300_000)])
    assert store.read(0, 1).records[0] == store.read(0, 1).records[0]
    assert len(calls) == 3
    store.append([entry(f"n{number}") for number in range(300)])
    assert len(pauses) == 2


def test_records_of_the_inner_store_stay_as_they_are(services):
    inner = installed().get("store", "memory").component.create({})
    store = SealedStore(inner, AtRest("disk", installed().get("cipher", "xchacha20poly1305").component.create()))
    store.open(services)
    store.append([entry()])
    assert isinstance(store.read(0, 1).records[0], Record)
    assert b"planted" in store.read(0, 1).records[0].json
    assert b"planted" not in inner.read(0, 1).records[0].json
    store.close()
