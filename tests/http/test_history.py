import json
import time
from threading import Thread

import httpx
import pytest

CONFIG = """
version: 1
server: {workers: 2}
store:
  sqlite: {path: events.db}
  keep: {events: 20, age: 7d, size: 1GiB, ids: 24h}
pipelines:
  - name: hidden
    match: {type: "hidden.*"}
    steps: [persist]
  - name: default
    steps: [persist, fan_out]
outputs:
  - sse: {path: /events, heartbeat: 1s}
"""


@pytest.fixture(scope="module")
def client(shared_server):
    with httpx.Client(base_url=shared_server.url, timeout=20) as client:
        yield client
    assert shared_server.events("request_failed") == []


def publish(client, type, count=1, **fields):
    return [client.post("/events", json={"type": type, "data": i, **fields}).json()["cursor"] for i in range(count)]


def page(client, **query):
    reply = client.get("/events", params=query)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    return reply.json()


def test_pages_follow_each_other_without_gap_or_duplicate(client):
    cursors = publish(client, "paged", 25)
    found, after = [], "earliest"
    while len(found) < 25:
        one = page(client, type="paged", after=after, limit=10)
        assert len(one["events"]) <= 10
        found += [event["data"] for event in one["events"]]
        after = one["next"]
    assert found == list(range(25))
    rest = page(client, type="paged", after=cursors[-1])
    assert (rest["events"], rest["next"]) == ([], rest["latest"])
    assert "gap" not in rest


def test_a_page_begins_at_the_earliest(client):
    publish(client, "first")
    assert page(client, type="first")["events"] == page(client, type="first", after="earliest")["events"] != []


def test_latest_is_behind_everything(client):
    publish(client, "before")
    one = page(client, after="latest")
    assert one["events"] == []
    assert one["next"] == one["latest"]


def test_a_long_poll_returns_as_soon_as_a_match_comes(client, shared_server):
    after = page(client, after="latest")["next"]
    found = []

    def poll():
        with httpx.Client(base_url=shared_server.url, timeout=20) as other:
            found.append(page(other, after=after, wait=15, type="awaited"))

    poller = Thread(target=poll)
    began = time.monotonic()
    poller.start()
    publish(client, "of.no.interest")
    assert found == []
    publish(client, "awaited")
    poller.join(12)
    assert time.monotonic() - began < 12
    assert [event["type"] for event in found[0]["events"]] == ["awaited"]


def test_a_long_poll_without_a_match_ends_in_time(client):
    began = time.monotonic()
    assert page(client, after="latest", wait=0.5)["events"] == []
    assert 0.4 < time.monotonic() - began < 5


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=1001", "limit=-1", "limit=1.5", "limit=x", "limit=1_0", "limit=%D9%A1", "limit=1e2",
        "wait=61", "wait=-1", "wait=x", "wait=nan", "wait=inf", "wait=1e1", "wait=60.1",
        "after=x", "after=0", "after=a-1-2", "after=%00", "after=abc-9999999999999999999", "after=abc-01",
        "after=ABC-1", "type=", "source=", "filter=x", "filter={}", "filter=[1]", 'filter={"sql":"TRUE"}',
        'filter={"exact":{}}',
        'filter={"exact":{"type":1}}', 'filter={"all":[]}', 'filter={"exact":{"Type":"a"}}',
        'filter={"exact":{"type":"a"},"prefix":{"type":"a"}}', 'filter={"exact":{"type":"a","type":"b"}}',
    ],
)  # fmt: skip
def test_bad_values_are_400(client, query):
    of_a_stream = [] if query.startswith(("limit", "wait")) else ["text/event-stream"]
    for accept in ("application/json", *of_a_stream):
        reply = client.get(f"/events?{query}", headers={"Accept": accept})
        assert reply.status_code == 400, reply.text
        assert reply.headers["content-type"] == "application/problem+json"


def test_filters_with_too_much_in_them_are_400(client):
    deep = json.dumps({"exact": {"type": "a"}})
    for _ in range(9):
        deep = f'{{"not":{deep}}}'
    many = json.dumps([{"exact": {"type": str(i)}} for i in range(101)])
    for text in (deep, many):
        assert client.get("/events", params={"filter": text}).status_code == 400
    assert client.get("/events", params={"type": [str(i) for i in range(101)]}).status_code == 400


@pytest.mark.parametrize("place", ["nonsense", "abc-5", "abc-9999999999999999999", "\xff", "x" * 5000, "a\tb"])
def test_an_unknown_last_event_id_is_told_a_gap_and_served_on(client, place):
    """Its sender, a browser, cannot mend it: a refusal would end its stream for ever."""
    headers = {b"Accept": b"text/event-stream", b"Last-Event-ID": place.encode("latin-1")}
    with client.stream("GET", "/events", headers=headers) as reply:
        assert reply.status_code == 200
        seen = b""
        parts = reply.iter_raw()
        while b'"reason":"epoch"' not in seen:
            seen += next(parts)
    assert b"event: gap" in seen


def test_a_cursor_of_another_epoch_is_told_a_gap(client):
    assert page(client, after="zzz-5")["gap"]["reason"] == "epoch"


def test_a_cursor_beyond_the_head_is_of_another_epoch(client):
    (cursor,) = publish(client, "head")
    epoch = cursor.split("-")[0]
    for offset in (10**6, 2**63 - 1):
        found = page(client, after=f"{epoch}-{offset}")
        assert found["gap"]["requested"] == f"{epoch}-{offset}"
    assert client.get("/events", params={"after": f"{epoch}-{2**63}"}).status_code == 400


def test_data_full_of_line_ends_forges_no_frame(client, shared_server):
    evil = "a\r\nid: forged\n\nevent: gap\rdata: {}\r\n\r\n\u2028\u2029\0:"
    (after,) = publish(client, "before.evil")
    receipt = client.post("/events", json={"type": "evil", "data": evil, "subject": "id: 1"}).json()
    with client.stream("GET", f"/events?after={after}", headers={"Accept": "text/event-stream"}) as reply:
        seen = b""
        for part in reply.iter_raw():
            seen += part
            blocks = seen.split(b"\n\n")
            if len(blocks) > 2:
                break
    fields = dict(line.split(b": ", 1) for line in blocks[1].splitlines())
    assert sorted(fields) == [b"data", b"id"]
    assert fields[b"id"].decode() == receipt["cursor"]
    assert json.loads(fields[b"data"])["data"] == evil
    assert page(client, after=after)["events"][0]["data"] == evil


def test_trimmed_history_is_told_as_a_gap_and_hidden_events_are_stepped_over(serve):
    server = serve(CONFIG)
    with httpx.Client(base_url=server.url, timeout=20) as client:
        first = publish(client, "old")[0]
        publish(client, "hidden.x", 3)
        assert [event["type"] for event in page(client)["events"]] == ["old"]
        publish(client, "new", 60)
        deadline = time.monotonic() + 15
        found = page(client, after=first)
        while "gap" not in found and time.monotonic() < deadline:
            found = page(client, after=first)
        assert found["gap"] == {"requested": first, "resumed_from": found["earliest"], "reason": "expired"}
        assert found["events"]
        assert page(client, after="earliest")["events"][0] == found["events"][0]
        assert "gap" not in page(client, after="earliest")
