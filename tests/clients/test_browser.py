"""Debian's Chromium on a page of another origin: EventSource, WebSocket, fetch."""

import httpx
import pytest

CHROMIUM = "/usr/bin/chromium"
CONFIG = """
version: 1
server:
  workers: 2
  cors: {origins: ["%s"]}
  drain: 5s
store:
  sqlite: {path: data/events.db}
pipelines:
  - name: default
    steps: [persist, fan_out]
outputs:
  - sse: {path: /events, heartbeat: 1s}
  - websocket: {path: /events/ws}
"""
EVENT = {"specversion": "1.0", "source": "/page", "type": "page.said", "data": {"text": "é\u2028"}}
STRUCTURED = {"Content-Type": "application/cloudevents+json"}  # not a "simple" type: the browser asks first


@pytest.fixture
def browse(run_client, tmp_path):
    """A function that opens the page for a server; returns its `Lines`."""

    def start(origin, server):
        return run_client("browser.mjs", CHROMIUM, tmp_path / "profile", f"{origin}/index.html?server={server}")

    return start


def select(lines, by, what):
    return [line for line in lines if (line["by"], line["what"]) == (by, what)]


def await_entry(page, by, what, count=1):
    return page.wait(lambda lines: len(found := select(lines, by, what)) >= count and found, f"{by}: {what}")


def test_events_reach_the_page_once_each_over_a_cut_and_a_restart(origin, serve, browse, cutting_proxy):
    server = serve(CONFIG % origin)
    proxy = cutting_proxy(server.port)
    page = browse(origin, proxy.url)
    await_entry(page, "eventsource", "cursor")
    await_entry(page, "websocket", "cursor")
    cursors = []

    def publish(count):
        for _ in range(count):
            answer = httpx.post(f"{server.url}/events", json={"type": "page.count", "data": {"n": len(cursors)}})
            assert answer.status_code == 201
            cursors.append(answer.json()["cursor"])

    publish(20)
    await_entry(page, "eventsource", "event", 20)
    proxy.cut()
    publish(20)  # while it is away
    await_entry(page, "eventsource", "event", 40)
    await_entry(page, "websocket", "event", 40)
    assert server.stop() == 0
    server.start()
    proxy.target = server.port
    publish(20)
    for by in ("eventsource", "websocket"):
        found = await_entry(page, by, "event", 60)
        assert [entry["cursor"] for entry in found] == cursors
        assert [entry["data"]["data"]["n"] for entry in found] == list(range(60))
    assert not any(entry["closed"] for entry in select(page.lines, "eventsource", "error"))
    assert 1001 in {entry["code"] for entry in select(page.lines, "websocket", "close")}  # told of the restart


def test_the_page_publishes_after_a_preflight(origin, serve, browse):
    server = serve(CONFIG % origin)
    page = browse(origin, server.url)
    await_entry(page, "eventsource", "cursor")
    page.tell({"event": {**EVENT, "id": "1"}, "headers": STRUCTURED})
    (answer,) = await_entry(page, "fetch", "answer")
    assert answer["status"] == 201
    assert answer["exposed"], "the page cannot read X-Request-Id"
    (heard,) = await_entry(page, "eventsource", "event")
    assert heard["data"] == {**EVENT, "id": "1"}
    assert heard["cursor"] == answer["body"]["cursor"]
    headers = {**STRUCTURED, "Idempotency-Key": "k", "X-Request-Id": "r"}
    page.tell({"event": {**EVENT, "id": "1", "data": 2}, "headers": headers})
    conflict = await_entry(page, "fetch", "answer", 2)[1]
    assert conflict["status"] == 409  # a refusal is readable too
    assert conflict["body"]["instance"] == "urn:request:r"


def test_the_page_streams_by_fetch_behind_an_id(origin, serve, browse):
    """As fetch-event-source does: `Last-Event-ID` set by a script makes the browser ask first."""
    server = serve(CONFIG % origin)
    cursors = [httpx.post(f"{server.url}/events", json={"type": "x", "data": n}).json()["cursor"] for n in range(3)]
    page = browse(origin, server.url)
    headers = {"Accept": "text/event-stream", "Last-Event-ID": cursors[1]}
    await_entry(page, "eventsource", "cursor")
    page.tell({"path": "/events?type=x", "method": "GET", "headers": headers})
    (answer,) = await_entry(page, "fetch", "answer")
    assert answer["status"] == 200
    assert f"id: {cursors[2]}\n\n" in answer["body"]
    assert f"id: {cursors[0]}\n" not in answer["body"]


def test_a_page_of_an_origin_that_is_not_allowed_gets_nothing(origin, serve, browse):
    server = serve(CONFIG % "https://shop.example")
    page = browse(origin, server.url)
    (error,) = await_entry(page, "eventsource", "error")
    assert error["closed"]
    assert await_entry(page, "websocket", "close")[0]["code"] == 1006
    for headers in (STRUCTURED, {"Content-Type": "text/plain"}):  # the second is sent without a preflight
        page.tell({"event": {**EVENT, "id": "1"}, "headers": headers})
    await_entry(page, "fetch", "error", 2)
    assert httpx.get(f"{server.url}/events").json()["events"] == []
    assert {(entry["by"], entry["what"]) for entry in page.lines} == {
        ("eventsource", "error"), ("websocket", "close"), ("fetch", "error"),
    }  # fmt: skip
