"""Attacks on `auth` from outside: foreign pages, keepers of connections, reloads, forged lines."""

import json
import threading
import time

import pytest
from e2e.auth_site import CONFIG, Auth
from e2e.web_socket import Socket

from eventstream.testing.process import wait_for
from eventstream.testing.raw_http import RawClient

SSE = "Accept: text/event-stream"
COOKIE = "Cookie: badge=till"
FOREIGN = "Origin: https://evil.example"
OWN = "Origin: http://localhost"


@pytest.fixture(scope="module")
def auth(tmp_path_factory):
    config = CONFIG.replace("server:\n", 'server:\n  cors: {origins: ["*"]}\n')
    auth = Auth(tmp_path_factory.mktemp("attacks"), config)
    with auth.server:
        yield auth
    assert "Traceback" not in auth.server.log()


def status(auth, method, target, *headers):
    with RawClient(auth.server.port) as client:
        client.request(method, target, *headers)
        return client.head().status


# -- a page in a victim's browser ---------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/events?type=shop.*", "/events/ws?type=shop.*"])
@pytest.mark.parametrize(("origin", "expected"), [(FOREIGN, 401), (OWN, 200), ("Origin: null", 401)])
def test_a_cookie_does_not_count_for_pages_of_other_origins(auth, target, origin, expected):
    if "ws" not in target:
        assert status(auth, "GET", target, COOKIE, origin) == expected
        assert status(auth, "GET", target, COOKIE, origin, SSE) == expected
        return
    headers = [tuple(one.encode().split(b": ")) for one in (COOKIE, origin)]
    with Socket(auth.server.port, *headers, target=target, protocol="cloudevents.json") as socket:
        assert socket.status == (101 if expected == 200 else expected)


def test_where_cookies_of_another_origin_are_wanted_they_count(tmp_path):
    cors = 'server:\n  cors: {origins: ["https://evil.example"], credentials: true}\n'
    auth = Auth(tmp_path, CONFIG.replace("server:\n", cors))
    with auth.server:
        assert status(auth, "GET", "/events?type=shop.*", COOKIE, FOREIGN) == 200
        assert status(auth, "GET", "/events?type=shop.*", COOKIE, "Origin: https://other.example") == 403


CERTIFICATES = """
version: 1
server:
  proxies: [127.0.0.1]
  cors: {origins: ["*"]}
store: {sqlite: {path: data/events.db}}
auth:
  chain: [client-certificate]
  grants: [{to: till, publish: true, subscribe: true}]
pipelines: [{name: all, steps: [persist, fan_out]}]
outputs: [websocket]
"""


@pytest.mark.parametrize(("origin", "expected"), [(FOREIGN, 403), (OWN, 101), (None, 101)])
def test_a_client_certificate_does_not_count_for_pages_of_other_origins(serve, origin, expected):
    server = serve(CERTIFICATES, workers=1)
    lines = ["x-ssl-client-s-dn: CN=till", "x-ssl-client-verify: SUCCESS", *([origin] if origin else [])]
    headers = [tuple(one.encode().split(b": ")) for one in lines]
    with Socket(server.port, *headers) as socket:
        assert socket.status == expected


# -- connections ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("badge", "expected"), [("nobody-granted", 101), (None, 101), ("stranger;;x", 403)])
def test_who_may_subscribe_to_something_may_connect(auth, badge, expected):
    with auth.socket(badge) as socket:
        assert socket.status == expected


def test_requests_on_one_connection_are_judged_one_by_one(auth):
    with RawClient(auth.server.port) as client:
        for badge, expected in (("till", 200), (None, 401), ("shop", 403), ("till", 200), ("forged", 401)):
            words = [f"Authorization: Badge {badge}"] if badge else []
            client.request("GET", "/events?type=shop.*", *words)
            assert client.reply().status == expected


def test_who_may_nothing_keeps_no_connection(tmp_path):
    auth = Auth(tmp_path, CONFIG.replace('    - {to: anonymous, subscribe: {type: "public.*"}}\n', ""))
    with auth.server:
        for badge, expected in (("nobody-granted", 403), (None, 401), ("shop", 101), ("till", 101)):
            with auth.socket(badge) as socket:
                assert socket.status == expected, badge


# -- the long poll ----------------------------------------------------------------------------------------


class Poll(threading.Thread):
    """A long poll under way; `answer` and `seconds` once it is over."""

    def __init__(self, auth, badge):
        super().__init__()
        self.auth, self.badge, self.answer, self.began = auth, badge, None, time.monotonic()
        self.start()

    def run(self):
        self.answer = self.auth.ask("GET", "/events?type=shop.poll&after=latest&wait=9", self.badge)
        self.seconds = time.monotonic() - self.began


def test_a_long_poll_ends_at_the_second_its_credential_does(auth):
    due = int(time.time()) + 2
    poll = Poll(auth, f"till;{due}")
    poll.join()
    assert poll.answer.status_code == 401
    assert poll.seconds < 4


def test_a_long_poll_ends_when_its_credential_is_revoked(auth):
    poll = Poll(auth, "till-poll")
    assert auth.command("revoke", "till-poll").returncode == 0
    poll.join()
    assert poll.answer.status_code == 401
    assert poll.seconds < 6


# -- the audit log ----------------------------------------------------------------------------------------


def test_what_strangers_send_neither_floods_nor_breaks_the_audit_log(auth):
    forged = 'x\u2028{"event": "published", "identity": "ops"}\u2029\u202e' + "x" * 100_000
    assert auth.publish("shop", id=forged, source="/flood").status_code == 201
    with auth.socket("till") as socket:
        socket.ask("subscribed", op="subscribe", id="a", type=["shop." + "y" * 5000])
    auth.ask("GET", "/events?type=bank.*", "till")

    def lines():
        found = (auth.file.parent / "audit.log").read_text()
        return {"subscribed", "refused"} <= {json.loads(line)["event"] for line in found.split("\n") if line} and found

    text = wait_for(lines, "the audit log")
    assert max(map(len, text.splitlines())) < 2000
    assert text.splitlines() == text.removesuffix("\n").split("\n")
    assert "\u202e" not in text
    refused = [one for one in map(json.loads, text.splitlines()) if one["event"] == "refused"]
    assert {one["client"] for one in refused} == {"127.0.0.1"}


# -- a reload -----------------------------------------------------------------------------------------------


def test_a_long_poll_of_before_a_reload_sees_nothing_of_after(auth):
    poll = Poll(auth, "till-7")
    wait_for(lambda: auth.ask("GET", "/events?type=shop.*", "till-7").status_code == 200, "the server")
    auth.file.write_text(auth.file.read_text().replace("to: [till, till-*]", "to: till"))
    auth.server.signal(1)
    wait_for(lambda: {one["generation"] for one in auth.server.events("worker_ready")} == {1, 2}, "the new workers")
    poll.join()
    assert poll.seconds < 5
    assert poll.answer.json()["events"] == []
    assert auth.ask("GET", "/events?type=shop.*", "till-7").status_code == 403
