import json
import sqlite3
import zlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from eventstream.testing.process import ServerProcess, wait_for

STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}

CONFIG = """
version: 1
server: {limits: {queue: 1, batch: 10}}
store:
  sqlite: {path: events.db}
pipelines:
  - name: passing
    match: {type: "passing.*"}
    steps: [fan_out]
  - name: guarded
    match: {type: "guarded.*"}
    steps:
      - reject: {when: {subject: "bad*"}, detail: no bad subjects, status: 422}
      - persist
      - fan_out
  - name: kept
    match: {type: "kept.*"}
    steps: [persist, fan_out]
outputs:
  - sse: {path: /events}
"""


def batch(*events, **headers):
    return {"content": json.dumps(events), "headers": {**BATCH, **headers}}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    file = tmp_path_factory.mktemp("receipts") / "pipelines.yaml"
    file.write_text(CONFIG)
    with ServerProcess(file, workers=1) as server:
        yield server
        assert server.events("request_failed") == []
        assert server.events("connection_failed") == []


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url, timeout=20) as client:
        yield client


@pytest.fixture
def source(request):
    """A source of this test's own, so that all can share one server."""
    return f"/{zlib.crc32(request.node.name.encode())}"


@pytest.fixture
def event(source):
    """Return a function that makes an event of this test's source."""
    return lambda name, **changes: {"specversion": "1.0", "id": name, "source": source, "type": "kept.x", **changes}


@pytest.fixture
def stored(client, source):
    """Return a function that lists the ids stored of this test's source."""

    def ids():
        found = client.get("/events", params={"limit": 1000, "source": source}).json()["events"]
        return [event["id"] for event in found]

    return ids


def test_a_new_event_is_201_its_repeat_200_other_content_409(client, event, stored, source):
    body = json.dumps(event("1", data={"a": 1}))
    first = client.post("/events", content=body, headers=STRUCTURED)
    assert first.status_code == 201
    receipt = first.json()
    assert receipt == {"id": "1", "source": source, "cursor": receipt["cursor"], "durable": "fsync"}
    same_in_other_words = json.dumps(dict(reversed(event("1", data={"a": 1}).items())), indent=2)
    again = client.post("/events", content=same_in_other_words, headers=STRUCTURED)
    assert (again.status_code, again.json()) == (200, {**receipt, "duplicate": True})
    other = client.post("/events", content=json.dumps(event("1", data={"a": 2})), headers=STRUCTURED)
    assert other.status_code == 409
    assert stored() == ["1"]


def test_bytes_are_not_a_string_that_looks_like_them(client, event):
    for fields, status in (({"data_base64": "YQ=="}, 201), ({"data_base64": "YQ=="}, 200), ({"data": "YQ=="}, 409)):
        reply = client.post("/events", content=json.dumps(event("b", **fields)), headers=STRUCTURED)
        assert reply.status_code == status


@pytest.mark.parametrize("key", ['"8e03978e-40d5"', "8e03978e-40d5"])
def test_an_idempotency_key_names_an_event_without_an_id(client, key, stored, source):
    plain = {"source": source, "type": "kept.x", "data": 1}
    headers = {"Idempotency-Key": key}
    first = client.post("/events", json=plain, headers=headers)
    assert (first.status_code, first.json()["id"]) == (201, "8e03978e-40d5")
    assert client.post("/events", json=plain, headers=headers).status_code == 200
    other = client.post("/events", json={**plain, "data": 2}, headers=headers)
    assert other.status_code == 422
    assert "Idempotency-Key" in other.json()["detail"]
    assert len(stored()) == 1


def test_quoted_and_bare_keys_are_the_same(client, source):
    for key, status in (('"one"', 201), ("one", 200), ('"o\\"ne"', 201), ('o"ne', 400)):
        assert (
            client.post(
                "/events", json={"source": source, "type": "kept.x"}, headers={"Idempotency-Key": key}
            ).status_code
            == status
        )


def test_an_event_with_an_id_of_its_own_keeps_it(client, source):
    reply = client.post(
        "/events", json={"source": source, "type": "kept.x", "id": "own"}, headers={"Idempotency-Key": "k"}
    )
    assert reply.json()["id"] == "own"


def test_what_is_not_persisted_is_202_without_a_cursor(client, stored, source):
    reply = client.post("/events", json={"source": source, "type": "passing.x", "id": "p"})
    assert (reply.status_code, reply.json()) == (202, {"id": "p", "source": source})
    assert stored() == []


def test_what_is_not_persisted_has_a_size(client, source):
    reply = client.post("/events", json={"source": source, "type": "passing.x", "data": "x" * 70_000})
    assert reply.status_code == 413


def test_an_event_of_no_pipeline_is_422(client):
    reply = client.post("/events", json={"type": "unheard.of"})
    assert reply.status_code == 422
    assert "unheard.of" in reply.json()["detail"]


def test_a_step_s_refusal_names_the_step(client):
    reply = client.post("/events", json={"type": "guarded.x", "subject": "bad.one"})
    assert reply.status_code == 422
    (error,) = reply.json()["errors"]
    assert error == {
        "detail": "no bad subjects", "pointer": "#/subject", "step": "pipelines.guarded.steps[0].reject",
    }  # fmt: skip


def test_a_batch_is_atomic(client, event, stored):
    good, bad = event("g"), event("b", type="guarded.x", subject="bad")
    reply = client.post("/events", **batch(good, bad, {**good, "id": "g2"}))
    assert reply.status_code == 422
    body = reply.json()
    assert body["errors"][0]["pointer"] == "#/1/subject"
    assert "1 of 3" in body["detail"]
    assert stored() == []


def test_a_batch_with_a_conflict_is_409_and_stores_nothing(client, event, stored):
    assert client.post("/events", **batch(event("1"))).status_code == 201
    reply = client.post("/events", **batch(event("2"), event("1", data="other")))
    assert reply.status_code == 409
    assert reply.json()["errors"][0]["pointer"] == "#/1"
    assert stored() == ["1"]


@pytest.mark.parametrize("prefer", ["batch=partial", "wait=1, batch=partial", "respond-async; batch=partial"])
def test_a_partial_batch_answers_each_item(client, prefer, event, stored):
    bad, wrong = event("b", type="guarded.x", subject="bad"), {"specversion": "1.0"}
    reply = client.post("/events", **batch(event("1"), bad, wrong, event("2"), event("1"), Prefer=prefer))
    assert reply.status_code == 201
    assert reply.headers["preference-applied"] == "batch=partial"
    one, refused, malformed, two, repeat = reply.json()["receipts"]
    assert (one["id"], two["id"], repeat["id"], repeat["duplicate"]) == ("1", "2", "1", True)
    assert (refused["problem"]["status"], refused["problem"]["errors"][0]["pointer"]) == (422, "#/subject")
    assert malformed["problem"]["status"] == 400
    assert stored() == ["1", "2"]


def test_a_partial_batch_of_only_refusals_is_refused(client, event):
    bad = event("b", type="guarded.x", subject="bad")
    reply = client.post("/events", **batch(bad, bad, Prefer="batch=partial"))
    assert reply.status_code == 422
    assert [error["pointer"] for error in reply.json()["errors"]] == ["#/0/subject", "#/1/subject"]


def test_an_empty_batch_is_fine(client):
    reply = client.post("/events", **batch())
    assert (reply.status_code, reply.json()) == (200, {"receipts": []})


def test_a_batch_answers_its_receipts_in_order(client, event):
    client.post("/events", **batch(event("0")))
    reply = client.post("/events", **batch(*(event(str(i)) for i in range(10))))
    assert reply.status_code == 201
    receipts = reply.json()["receipts"]
    assert [receipt["id"] for receipt in receipts] == [str(i) for i in range(10)]
    assert [receipt.get("duplicate", False) for receipt in receipts] == [True] + [False] * 9
    assert client.post("/events", **batch(event("0"), event("1"))).status_code == 200


def test_a_batch_over_its_limit_is_413(client, event):
    reply = client.post("/events", **batch(*(event(str(i)) for i in range(11))))
    assert (reply.status_code, reply.json()["limit"]) == (413, 10)


def test_a_locked_store_is_503_and_recovers_by_itself(client, server):
    database = next(server.config.parent.rglob("events.db"))
    locker = sqlite3.connect(database, isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    try:
        reply = client.post("/events", json={"type": "kept.locked"})
    finally:
        locker.execute("ROLLBACK")
        locker.close()
    assert reply.status_code == 503
    assert int(reply.headers["retry-after"]) >= 1
    assert "lock" not in reply.text, "the reason belongs in the log"
    assert any("lock" in entry["error"] for entry in server.events("store_busy"))
    wait_for(lambda: client.post("/events", json={"type": "kept.locked"}).status_code == 201, "recovery")


def test_more_than_the_queue_is_503_with_retry_after_and_never_a_false_receipt(client, server, stored, source):
    def publish(number):
        return client.post("/events", json={"type": "kept.q", "id": str(number), "source": source})

    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(publish, range(400)))
    refused = [reply for reply in replies if reply.status_code == 503]
    taken = sorted(reply.json()["id"] for reply in replies if reply.status_code == 201)
    assert refused
    assert len(refused) + len(taken) == 400
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
    assert all("nothing was stored" in reply.json()["detail"] for reply in refused)
    assert sorted(stored()) == taken
    assert server.events("store_busy")
