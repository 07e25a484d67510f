"""WebSocket clients from npm and PyPI: cut again and again, each gets every event once, in order."""

import httpx
import pytest

from eventstream.testing.process import wait_for

CLIENTS = {
    "websockets": ("websocket_client.py",),
    "ws": ("websocket.mjs", "ws"),
    "undici": ("websocket.mjs", "undici"),
    "reconnecting-websocket": ("websocket.mjs", "reconnecting-websocket"),
}
PROTOCOLS = ("eventstream.v1", "cloudevents.json")
CASES = [(name, protocol) for name in CLIENTS for protocol in PROTOCOLS]
EVENTS = 300
TEXT = "é\u2028" + "x" * 100


def bytes_until_cut(number):
    return None if number == 0 else 8_000 + number * 7919 % 10_000


@pytest.fixture(scope="module")
def story(shared_server, run_client, cutting_proxy):
    """All clients at once, each behind a proxy of its own, while 300 events are published."""
    proxies = {case: cutting_proxy(shared_server.port, bytes_until_cut) for case in CASES}
    clients = {
        (name, protocol): run_client(
            *CLIENTS[name], protocol, f"ws://127.0.0.1:{proxies[name, protocol].port}/events/ws", "story"
        )
        for name, protocol in CASES
    }
    cursors = []
    with httpx.Client(base_url=shared_server.url, timeout=10) as http:

        def publish(count):
            for _ in range(count):
                answer = http.post("/events", json={"type": "story", "data": {"n": len(cursors), "text": TEXT}})
                assert answer.status_code == 201, answer.text
                cursors.append(answer.json()["cursor"])

        def all_subscribed():
            """A client counts as subscribed when an event reaches it: nothing else shows that it knows its place."""
            publish(1)
            return all(client.lines for client in clients.values())

        wait_for(all_subscribed, "every client to subscribe", step=0.3)
        for proxy in proxies.values():
            proxy.cut()
        while len(cursors) < EVENTS:
            publish(20)
            wait_for(lambda: len(clients["ws", PROTOCOLS[0]].lines) > len(cursors) - 100, "a client to follow")
    for case in CASES:
        clients[case].wait(lambda lines: lines[-1]["cursor"] == cursors[-1], f"{case} to get the last event")
    return cursors, clients, proxies


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_each_event_once_and_in_order_over_every_cut(story, case):
    cursors, clients, proxies = story
    lines = clients[case].lines
    begin = cursors.index(lines[0]["cursor"])
    assert begin < 50
    assert [line["cursor"] for line in lines] == cursors[begin:]
    assert [line["event"]["data"] for line in lines] == [{"n": n, "text": TEXT} for n in range(begin, len(cursors))]
    assert proxies[case].cuts >= 3, "the proxy did not cut: this test shows nothing"
