"""Who may do what, from outside: real servers of two workers, and an authenticator of a plugin."""

import contextlib
import json
import time

import httpx
import pytest
from e2e.auth_site import CONFIG, Auth
from e2e.web_socket import Socket

from eventstream.testing.process import wait_for
from eventstream.testing.raw_http import RawClient

SECRET = "planted-5ecret-text"


@pytest.fixture(scope="module")
def auth(tmp_path_factory):
    auth = Auth(tmp_path_factory.mktemp("auth"))
    with auth.server:
        yield auth
    assert "Traceback" not in auth.server.log()


def soon(seconds=2):
    return int(time.time()) + seconds


# -- publishing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("badge", "type", "status"),
    [
        ("shop", "shop.order", 201),
        ("shop-7", "shop.order", 201),
        ("shop", "bank.order", 403),
        ("till", "shop.order", 403),
        ("shop;;shop.a", "shop.a", 201),
        ("shop;;shop.a", "shop.b", 403),
        ("till;;shop.a", "shop.a", 403),
        ("shop;1", "shop.order", 401),
        ("forged", "shop.order", 401),
        ("anonymous", "shop.order", 401),
        (None, "shop.order", 401),
    ],
)
def test_who_may_publish(auth, badge, type, status):
    reply = auth.publish(badge, type)
    assert reply.status_code == status
    assert reply.headers.get("www-authenticate") == ("Badge" if status == 401 else None)
    if status == 403:
        assert "may not publish" in reply.json()["detail"]
        assert "granted" in reply.json()["detail"] or badge.startswith("till")
    if status == 401 and badge:
        assert reply.json()["detail"] == "the credential is not accepted"


def test_a_batch_is_refused_as_a_whole_or_in_part(auth):
    batch = [{"specversion": "1.0", "id": one, "source": "/batch", "type": f"{one}.x"} for one in ("shop", "bank")]
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    reply = auth.ask("POST", "/events", "shop", content=json.dumps(batch), headers=headers)
    assert reply.status_code == 403
    assert reply.json()["errors"][0]["pointer"] == "#/1"
    assert auth.ask("GET", "/events?source=/batch", "ops").json()["events"] == []
    headers["Prefer"] = "batch=partial"
    reply = auth.ask("POST", "/events", "shop", content=json.dumps(batch), headers=headers)
    assert reply.status_code == 201
    assert reply.json()["receipts"][1]["problem"]["status"] == 403


def test_two_callers_may_choose_the_same_idempotency_key(auth):
    first = auth.publish("shop", data=1, **{"Idempotency-Key": "k1"})
    other = auth.publish("shop-7", data=2, **{"Idempotency-Key": "k1"})
    again = auth.publish("shop", data=1, **{"Idempotency-Key": "k1"})
    assert [first.status_code, other.status_code, again.status_code] == [201, 201, 200]
    assert [first.json()["id"], other.json()["id"]] == ["shop:k1", "shop-7:k1"]
    assert [first.json()["source"], other.json()["source"]] == ["/identities/shop", "/identities/shop-7"]
    assert auth.publish("shop", data=3, **{"Idempotency-Key": "k1"}).status_code == 422


def test_a_cookie_does_not_publish(auth):
    assert auth.publish(None, "shop.order", Cookie="badge=ops").status_code == 401
    headers = {"Cookie": "badge=ops"}
    assert auth.ask("GET", "/events?limit=1", headers=headers).status_code == 200
    assert auth.ask("GET", "/-/config", headers=headers).status_code == 403
    with Socket(auth.server.port, (b"Cookie", b"badge=ops")) as socket:
        answer = socket.ask("receipt", op="publish", id="p", event={"type": "shop.order"})
        assert answer["results"][0]["problem"]["status"] == 403


# -- subscribing --------------------------------------------------------------------------------------

SSE = {"Accept": "text/event-stream"}


@pytest.mark.parametrize("headers", [{}, SSE])
@pytest.mark.parametrize(
    ("badge", "query", "status"),
    [
        ("shop", "type=shop.*", 403),
        ("till", "type=bank.*", 403),
        ("till", "type=shop.*&type=bank.*", 403),
        ("till", "", 403),
        ("till", "source=/till&type=bank.*", 200),
        ("till", 'filter=[{"exact":{"type":"shop.a"}}]', 200),
        ("till", 'filter=[{"any":[{"exact":{"type":"shop.a"}}]}]', 403),
        ("till", "type=public.*", 200),
        (None, "type=public.*", 200),
        (None, "type=shop.*", 401),
        (None, "", 401),
        ("forged", "type=public.*", 401),
    ],
)
def test_who_may_subscribe(auth, badge, query, status, headers):
    with RawClient(auth.server.port) as client:
        words = [f"Authorization: Badge {badge}"] if badge else []
        target = f"/events?{query}".replace('"', "%22")
        client.request("GET", target, *words, *(f"{name}: {value}" for name, value in headers.items()))
        reply = client.head()
        assert reply.status == status
        if status == 200:
            return
        problem = json.loads(client.read(int(reply.headers["content-length"])))
        assert problem["status"] == status
        if status == 403:
            assert "may not subscribe to" in problem["detail"]
            assert "granted" in problem["detail"]


def test_a_head_request_is_judged_too(auth):
    assert auth.ask("HEAD", "/events?type=shop.*", "till").status_code == 200
    assert auth.ask("HEAD", "/events?type=shop.*", "shop").status_code == 403


@pytest.mark.parametrize("protocol", ["cloudevents.json", "eventstream.v1"])
def test_a_websocket_is_refused_by_the_handshake(auth, protocol):
    with auth.socket("forged", protocol=protocol) as socket:
        assert socket.status == 401
    with auth.socket("till", protocol="cloudevents.json", target="/events/ws?type=bank.*") as socket:
        assert socket.status == 403


def test_messages_of_a_websocket_are_judged_one_by_one(auth):
    with auth.socket("till") as socket:
        assert socket.ask("error", op="subscribe", id="a", type="bank.*")["problem"]["status"] == 403
        assert socket.ask("error", op="subscribe", id="a")["problem"]["status"] == 403
        assert socket.ask("subscribed", op="subscribe", id="a", type="shop.*")["id"] == "a"
        answer = socket.ask("receipt", op="publish", id="p", event={"type": "shop.order"})
        assert answer["results"][0]["problem"]["status"] == 403
    with auth.socket("shop") as socket:
        answer = socket.ask("receipt", op="publish", id="p", event={"type": "shop.order"})
        assert answer["results"][0]["source"] == "/identities/shop"
    with auth.socket(None) as socket:
        assert socket.ask("error", op="subscribe", id="a", type="shop.*")["problem"]["status"] == 401
        assert socket.ask("subscribed", op="subscribe", id="a", type="public.*")
    with auth.socket("till", protocol="cloudevents.json", target="/events/ws?type=shop.*") as socket:
        event = {"specversion": "1.0", "id": "ws", "source": "/ws", "type": "shop.order"}
        assert socket.ask("eventstream.problem", **event)["data"]["status"] == 403


# -- the end ------------------------------------------------------------------------------------------


def test_streams_end_at_the_second_the_credential_does(auth):
    due = soon()
    with (
        auth.stream(f"till;{due}") as sse,
        auth.socket(f"till;{due}") as v1,
        auth.socket(f"till;{due}", protocol="cloudevents.json", target="/events/ws?type=shop.*") as plain,
        auth.stream("till") as other,
    ):
        v1.ask("subscribed", op="subscribe", id="a", type="shop.*")
        assert b'event: goodbye\ndata: {"reason":"expired"}\n\nretry: ' in sse.read_to_end()
        assert 0 <= time.time() - due < 1
        assert v1.read("goodbye")["reason"] == "expired"
        assert v1.wait_closed() == plain.wait_closed() == (1008, "the credential is expired")
        receipt = auth.publish("shop").json()
        other.read_until(f"id: {receipt['cursor']}\n".encode())
    assert auth.ask("GET", "/events?type=shop.*", f"till;{due}", headers=SSE).status_code == 401


@pytest.mark.parametrize("way", ["route", "socket", "command"])
def test_a_revocation_ends_streams_on_every_worker_within_a_second(auth, way):
    name = f"till-{way}"
    with contextlib.ExitStack() as opened:
        streams = [opened.enter_context(auth.stream(name)) for _ in range(8)]  # on both workers
        other = opened.enter_context(auth.stream("till-other"))
        if way == "command":
            done = auth.command("revoke", f"token:{name}", "--for", "1h")
            assert (done.returncode, done.stdout) == (0, f"token:{name} is revoked for 1h\n")
        elif way == "route":
            reply = auth.ask("POST", "/-/revoke", "ops", json={"credential": name, "for": "1h"})
            assert (reply.status_code, reply.json()["revoked"]) == (200, f"name:{name}")
        else:
            transport = httpx.HTTPTransport(uds=str(auth.file.parent / "data" / "admin.sock"))
            with httpx.Client(transport=transport) as client:
                assert client.post("http://localhost/-/revoke", json={"credential": name}).status_code == 200
        began = time.monotonic()
        for stream in streams:
            assert b'data: {"reason":"revoked"}' in stream.read_to_end()
        assert time.monotonic() - began < 1
        for _ in range(8):  # on both workers
            assert auth.ask("GET", "/events?type=shop.*", name).status_code == 401
        receipt = auth.publish("shop").json()
        other.read_until(f"id: {receipt['cursor']}\n".encode())


def test_a_websocket_of_a_revoked_name_publishes_no_more(auth):
    with auth.socket("shop-9") as socket:
        assert "cursor" in socket.ask("receipt", op="publish", id="1", event={"type": "shop.a"})["results"][0]
        assert auth.command("revoke", "shop-9").returncode == 0
        assert socket.wait_closed() == (1008, "the credential is revoked")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"credential": "till", "for": "soon"}, 400),
        ({"credential": "till", "for": "0s"}, 400),
        ({"credential": "till", "for": "99999999d"}, 400),
        ({"credential": ""}, 400),
        ({"credential": "a\nb"}, 400),
        ({"credential": "x" * 600}, 400),
        ({"name": "till"}, 400),
        ([], 400),
    ],
)
def test_what_cannot_be_revoked(auth, body, status):
    assert auth.ask("POST", "/-/revoke", "ops", json=body).status_code == status


def test_the_command_says_what_is_wrong(auth):
    assert "a duration such as" in auth.command("revoke", "till", "--for", "soon").stderr
    assert "at most 3650d" in auth.command("revoke", "till", "--for", "9999d").stderr


# -- the rest of the server -----------------------------------------------------------------------------


@pytest.mark.parametrize(("badge", "status"), [("ops", 200), ("shop", 403), (None, 401)])
@pytest.mark.parametrize("path", ["/-/config", "/-/metrics", "/-/health", "/-/ready"])
def test_what_is_for_administrators(auth, path, badge, status):
    assert auth.ask("GET", path, badge).status_code == status


def test_revoking_needs_the_admin_right(auth):
    for badge, status in (("shop", 403), (None, 401)):
        assert auth.ask("POST", "/-/revoke", badge, json={"credential": "x"}).status_code == status


def test_the_admin_socket_administers_and_no_more(auth):
    transport = httpx.HTTPTransport(uds=str(auth.file.parent / "data" / "admin.sock"))
    with httpx.Client(transport=transport, base_url="http://localhost") as client:
        assert client.get("/-/config").status_code == client.get("/-/metrics").status_code == 200
        assert client.get("/events").status_code == 401


def test_pages_for_everybody_ask_nobody(auth):
    assert auth.ask("GET", "/", "forged").status_code == 200
    document = auth.ask("GET", "/openapi.json").json()
    assert document["components"]["securitySchemes"] == {"badge": {"type": "http", "scheme": "badge"}}
    assert document["paths"]["/events"]["post"]["security"] == [{"badge": []}]
    assert document["paths"]["/events"]["get"]["security"] == [{"badge": []}, {}]
    assert document["paths"]["/"]["get"]["security"] == []
    assert "401" in document["paths"]["/events"]["get"]["responses"]


def test_a_preflight_needs_no_credential(auth):
    reply = auth.ask("OPTIONS", "/events", headers={"WebHook-Request-Origin": "sender.example"})
    assert reply.status_code == 204


def test_the_audit_log_says_who_did_what(auth):
    auth.publish("shop-audit", data={"text": SECRET}, **{"Idempotency-Key": "a1"})
    auth.publish("till-audit", "shop.order", data=SECRET)
    auth.publish("forged", "shop.order")
    with auth.stream("till-audit"):
        pass
    auth.ask("POST", "/-/revoke", "ops", json={"credential": "till-audit"})

    def lines():
        found = auth.audit()
        return {line["event"] for line in found if line.get("identity") == "till-audit"} >= {"left"} and found

    found = wait_for(lines, "the audit log")
    by = {(line["event"], line.get("identity")): line for line in found}
    published = by["published", "shop-audit"]
    assert (published["id"], published["results"], published["events"]) == ("shop-audit:a1", {"stored": 1}, 1)
    assert published["client"] == "127.0.0.1"
    assert by["refused", "till-audit"]["status"] == 403
    assert by["refused", None]["detail"] == "badge: the badge is forged"
    assert by["subscribed", "till-audit"]["output"] == "sse"
    assert by["left", "till-audit"]["reason"] in ("left", "reset", "revoked")
    assert by["revoked", None]["credential"] == "name:till-audit"
    assert by["revoked", None]["by"] == "ops"
    assert "started" in {line["event"] for line in found}
    assert all(line["logger"] == "eventstream.audit" for line in found)
    assert SECRET not in json.dumps(found) + auth.server.log()


def test_a_reload_with_other_grants_ends_the_streams_of_the_old_ones(auth):
    with auth.stream("till-7") as sse:
        auth.file.write_text(CONFIG.replace("to: [till, till-*]", "to: till"))
        auth.server.signal(1)
        assert b"retry: " in sse.read_to_end()
    wait_for(lambda: auth.server.generation() == 2, "the new generation")
    wait_for(lambda: len(auth.server.workers()) == 2, "the old workers to be gone")
    assert auth.ask("GET", "/events?type=shop.*", "till-7").status_code == 403
    assert auth.ask("GET", "/events?type=shop.*", "till").status_code == 200
    wait_for(lambda: "reloaded" in {line["event"] for line in auth.audit()}, "the audit log")
    auth.file.write_text(CONFIG.replace("chain: [badge]", "chain: [bagde]"))
    auth.server.signal(1)
    wait_for(lambda: "reload_refused" in {line["event"] for line in auth.audit()}, "the refusal")
    assert auth.ask("GET", "/events?type=shop.*", "till-7").status_code == 403
