"""SSE clients from npm and PyPI: cut again and again, each gets every event once, in order."""

import json

import httpx
import pytest

from eventstream.testing.process import wait_for

CLIENTS = {
    "sse.mjs": (
        "eventsource",
        "undici",
        "reconnecting-eventsource",
        "event-source-polyfill",
        "eventsource-client",
        "event-source-plus",
        "fetch-event-source",
        "eventsource-parser",
    ),
    "sse.py": ("httpx-sse", "sseclient-py", "requests-sse", "aiohttp-sse-client2", "aiosseclient"),
}
NAMES = [name for names in CLIENTS.values() for name in names]
EVENTS = 300
AWAY = 20  # published while every client is away for the first time
TEXT = "é\u2028\r\nid: forged\n\ndata: forged\x85" + "x" * 80


def bytes_until_cut(number):
    """The first connection is cut on command, the later ones after 25 to 40 kB, in the middle of frames."""
    return None if number == 0 else 25_000 + number * 7919 % 15_000


class Publisher:
    """Publishes numbered events and keeps their places."""

    def __init__(self, client, kind):
        self.client = client
        self.kind = kind
        self.cursors = []
        self.data = []

    def publish(self, count, text=TEXT):
        for _ in range(count):
            data = {"n": len(self.cursors), "text": text}
            answer = self.client.post("/events", json={"type": self.kind, "data": data})
            assert answer.status_code == 201, answer.text
            self.cursors.append(answer.json()["cursor"])
            self.data.append(data)


@pytest.fixture(scope="module")
def http(shared_server):
    with httpx.Client(base_url=shared_server.url, timeout=10) as client:
        yield client


@pytest.fixture(scope="module")
def story(shared_server, http, run_client, cutting_proxy):
    """All clients at once, each behind a proxy of its own, while 300 events are published."""
    proxies = {name: cutting_proxy(shared_server.port, bytes_until_cut) for name in NAMES}
    clients = {
        name: run_client(script, name, f"{proxies[name].url}/events?type=story")
        for script, names in CLIENTS.items()
        for name in names
    }
    publisher = Publisher(http, "story")
    for name in NAMES:
        clients[name].wait(lambda _, name=name: proxies[name].answered, f"{name} to be answered")
    for proxy in proxies.values():
        proxy.cut()
    publisher.publish(AWAY)
    for name in NAMES:
        clients[name].wait(len, f"{name} to come back", seconds=40)
    while len(publisher.cursors) < EVENTS:
        publisher.publish(20)
        wait_for(lambda: len(clients["eventsource"].lines) > len(publisher.cursors) - 60, "a quick client to follow")
    last = publisher.cursors[-1]
    publisher.publish(3)  # for those that read in blocks
    for name in NAMES:
        clients[name].wait(
            lambda lines: any(line["cursor"] == last for line in lines), f"{name} to get the last event", seconds=60
        )
    return publisher, clients, proxies


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", NAMES)
def test_each_event_once_and_in_order_over_every_cut(story, name):
    publisher, clients, proxies = story
    lines = clients[name].lines[:EVENTS]
    assert [line["cursor"] for line in lines] == publisher.cursors[:EVENTS]
    assert [json.loads(line["data"])["data"] for line in lines] == publisher.data[:EVENTS]
    assert proxies[name].cuts >= 3, "the proxy did not cut: this test shows nothing"


@pytest.fixture(scope="module")
def quiet(shared_server, http, run_client):
    """All clients on a stream with two events and two heartbeats between them."""
    url = f"{shared_server.url}/events?type=quiet&after=earliest"
    clients = {name: run_client(script, name, url) for script, names in CLIENTS.items() for name in names}
    publisher = Publisher(http, "quiet")
    publisher.publish(1)
    for name in NAMES:
        clients[name].wait(len, f"{name} to get the first event at once", seconds=15)
    assert http.get("/events?type=never&wait=2.5").json()["events"] == []  # two heartbeats pass meanwhile
    publisher.publish(1)
    for name in NAMES:
        clients[name].wait(lambda lines: len(lines) >= 2, f"{name} to get the second event at once", seconds=15)
    publisher.publish(40)  # for those that read in blocks
    return publisher, clients


@pytest.mark.parametrize("name", NAMES)
def test_a_sign_of_life_is_no_event(quiet, name):
    publisher, clients = quiet
    clients[name].wait(lambda lines: len(lines) >= 20, f"{name} to get 20 events")
    cursors = [line["cursor"] for line in clients[name].lines]
    assert cursors == publisher.cursors[: len(cursors)]
