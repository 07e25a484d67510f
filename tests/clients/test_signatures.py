"""Signed requests and events by libraries of PyPI and npm, sent to a real server: good, again, late, and altered."""

import base64
import datetime
import gzip
import hashlib
import hmac
import itertools
import json
import subprocess
import sys
import time

import httpx
import pytest
import requests
import rfc8785
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver, algorithms
from nacl.signing import SigningKey
from requests_http_signature import HTTPSignatureAuth
from standardwebhooks import Webhook
from websockets.sync.client import connect

from eventstream.testing.process import ServerProcess, wait_for

KEY = SigningKey(bytes(range(32)))
PUBLIC = base64.b64encode(bytes(KEY.verify_key)).decode()
SECRET = bytes(range(64))
HOOK = "whsec_" + base64.b64encode(bytes(range(32))).decode()
FORGE = "It's a Secret to Everybody"
CONFIG = """
version: 1
server: {workers: 2}
store:
  sqlite: {path: data/events.db}
keys:
  shop: {ed25519: "${env:SHOP_KEY}"}
  till: {hmac: "${env:TILL_KEY}"}
  hook: {standard-webhooks: "${env:HOOK_KEY}"}
  forge: {text: "${env:FORGE_KEY}"}
pipelines:
  - name: hooks
    match: {type: "hook.*"}
    steps: [verify: {keys: [hook]}, persist, fan_out]
  - name: messages
    match: {type: "message.*"}
    steps: [verify: {scheme: message-signatures, keys: [shop, till]}, persist, fan_out]
  - name: more-messages
    match: {type: "more.*"}
    steps: [verify: {scheme: message-signatures, keys: [shop]}, persist, fan_out]
  - name: forge
    match: {type: "com.github.*"}
    steps: [verify: {scheme: github, keys: [forge]}, persist, fan_out]
  - name: events
    match: {type: ["event.*", "free.*"]}
    steps: [verify: {scheme: ed25519, keys: [shop], require: {type: ["event.*"]}}, persist, fan_out]
outputs:
  - sse
  - websocket
"""
STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
NUMBERS = itertools.count()
REFUSED = "the request's signature is missing or not valid"


@pytest.fixture(scope="module")
def server(serve_module):
    keys = {"SHOP_KEY": PUBLIC, "TILL_KEY": base64.b64encode(SECRET).decode(), "HOOK_KEY": HOOK, "FORGE_KEY": FORGE}
    return serve_module(CONFIG, environ=keys)


@pytest.fixture(scope="module")
def url(server):
    return f"{server.url}/events"


@pytest.fixture(scope="module")
def by_node(run_client):
    """A function that has the libraries of npm sign something."""
    seed, secret = (base64.b64encode(one).decode() for one in (bytes(KEY), SECRET))
    client = run_client("signatures.mjs", seed, secret)

    def ask(scheme, **given):
        count = len(client.lines)
        client.tell({"scheme": scheme, **given})
        return client.wait(lambda lines: len(lines) > count and lines[-1], "a signature")

    return ask


def event(type, **attributes):
    """Return a new event."""
    moment = datetime.datetime.now(datetime.UTC).isoformat()
    number = next(NUMBERS)
    return {
        "specversion": "1.0", "id": f"{time.time_ns()}-{number}", "source": "/shop", "type": type, "time": moment,
        "data": {"n": number, "text": "é\u2028", "part": 0.5}, **attributes,
    }  # fmt: skip


def dumps(value):
    return json.dumps(value, ensure_ascii=False).encode()


def digest_of(body):
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


# -- one way to sign for each scheme: a body and how late it is -> headers and body -----------------------


def sign_hook(url, body, late=0):
    seconds, ident = int(time.time()) + late, f"msg_{next(NUMBERS)}"
    signature = Webhook(HOOK).sign(ident, datetime.datetime.fromtimestamp(seconds, datetime.UTC), body.decode())
    names = {"webhook-id": ident, "webhook-timestamp": str(seconds), "webhook-signature": signature}
    return {"content-type": STRUCTURED, **names}, body


class Resolver(HTTPSignatureKeyResolver):
    """The private keys, by id."""

    def resolve_private_key(self, key_id):
        if key_id == "till":
            return SECRET
        der = bytes.fromhex("302e020100300506032b657004220420") + bytes(KEY)
        return b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(der) + b"\n-----END PRIVATE KEY-----\n"

    resolve_public_key = resolve_private_key


COVERED = ("@method", "@path", "content-digest", "content-type")


def sign_message(url, body, late=0, *, key="shop", content_type=STRUCTURED, covered=COVERED):
    request = requests.Request("POST", url, headers={"Content-Type": content_type}, data=body).prepare()
    request.headers["Content-Digest"] = digest_of(body)
    algorithm = algorithms.HMAC_SHA256 if key == "till" else algorithms.ED25519
    HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=Resolver()).sign(
        request,
        key_id=key,
        covered_component_ids=covered,
        nonce=f"n-{next(NUMBERS)}",
        created=datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=late),
        use_existing_digest=True,
    )
    names = ("content-type", "content-digest", "signature", "signature-input")
    return {name: request.headers[name] for name in names}, body


def sign_forge(url, body, late=0):
    signature = hmac.new(FORGE.encode(), body, hashlib.sha256).hexdigest()
    return {"content-type": STRUCTURED, "x-hub-signature-256": f"sha256={signature}"}, body


def signed_event(given):
    signature = base64.b64encode(KEY.sign(rfc8785.dumps(given)).signature).decode()
    return {**given, "signature": signature, "signaturekey": "shop"}


def sign_event(url, body, late=0):
    given = json.loads(body)
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=late)
    return {"content-type": STRUCTURED}, dumps(signed_event({**given, "time": moment.isoformat()}))


SCHEMES = {
    "hook": ("hook.a", sign_hook),
    "message": ("message.a", sign_message),
    "forge": ("com.github.a", sign_forge),
    "event": ("event.a", sign_event),
}


TIMED = [name for name in SCHEMES if name != "forge"]  # GitHub signs no time: what keeps a replay out is its id


@pytest.fixture(params=list(SCHEMES))
def scheme(request):
    return request.param


@pytest.fixture
def signed(scheme, url):
    """A function that returns headers and body of a signed request with a new event."""
    type, sign = SCHEMES[scheme]
    return lambda late=0: sign(url, dumps(event(type)), late)


def post(url, headers, body):
    """Send exactly these headers: a dict, or a list of pairs."""
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
    return httpx.post(url, headers=pairs, content=body)


def count(url):
    page = httpx.get(url, params={"after": "earliest", "limit": 1000}, headers={"Accept": "application/json"}).json()
    return len(page["events"])


# -- the matrix ------------------------------------------------------------------------------------------


def test_a_recorded_request_is_never_stored_twice(url, scheme, signed):
    headers, body = signed()
    before = count(url)
    first = post(url, headers, body)
    assert first.status_code == 201, first.text
    for _ in range(4):  # by either worker
        again = post(url, headers, body)
        if scheme == "message":
            assert (again.status_code, again.json()["detail"]) == (401, REFUSED)
        else:
            assert (again.status_code, again.json()) == (200, {**first.json(), "duplicate": True})
    assert count(url) == before + 1


@pytest.mark.parametrize("scheme", TIMED)
def test_a_late_request_is_refused(url, signed):
    before = count(url)
    for late in (-3600, -310, 310, 3600):
        answer = post(url, *signed(late))
        assert (answer.status_code, answer.json()["detail"]) == (401, REFUSED)
    assert count(url) == before
    assert post(url, *signed(-280)).status_code == 201


def test_a_dropped_or_doubled_header_is_refused(url, signed):
    headers, body = signed()
    before = count(url)
    for name in headers:
        rest = [(other, value) for other, value in headers.items() if other != name]
        assert post(url, rest, body).status_code in (400, 401, 415), f"without {name}"
        assert post(url, [*headers.items(), (name, headers[name])], body).status_code in (400, 401, 415), f"two {name}"
        assert post(url, [*rest, (name, "")], body).status_code in (400, 401, 415), f"empty {name}"
        assert post(url, [*rest, (name, f"{headers[name]}x")], body).status_code in (400, 401, 415), f"longer {name}"
    assert count(url) == before
    assert post(url, headers, body).status_code == 201, "the request itself was good"


def test_in_another_mode_it_is_refused_or_the_same_event(url, scheme, signed):
    headers, body = signed()
    given = json.loads(body)
    attributes = {f"ce-{name}": str(value) for name, value in given.items() if name not in ("data", "time")}
    before = count(url)
    plain = post(url, {**headers, "content-type": "application/json"}, body)
    binary = post(url, {**headers, **attributes, "content-type": "application/json"}, body)
    batch = post(url, {**headers, "content-type": BATCH}, body)
    inside = post(url, {**headers, "content-type": BATCH}, b"[" + body + b"]")
    typed = post(url, {**headers, "content-type": "text/plain"}, body)
    assert binary.status_code in (400, 401)
    assert batch.status_code in (400, 401)
    assert typed.status_code in (401, 415)
    if scheme == "event":  # the signature is the event's own: any form of it is one and the same event
        assert (plain.status_code, inside.status_code) == (201, 200)
        assert count(url) == before + 1
    else:
        assert plain.status_code in (400, 401)
        assert inside.status_code in (400, 401)
        assert count(url) == before
        assert post(url, headers, body).status_code == 201


def test_a_body_written_anew_is_refused_or_the_same_event(url, scheme, signed):
    headers, body = signed()
    before = count(url)
    rewritten = json.dumps(json.loads(body), indent=1).encode()
    for other in (rewritten, body + b" ", b" " + body, json.dumps(json.loads(body)).encode()):
        answer = post(url, headers, other)
        assert answer.status_code == 401 if scheme != "event" else answer.status_code in (200, 201)
    assert count(url) == before + (scheme == "event")
    assert post(url, headers, body).status_code == (200 if scheme == "event" else 201)


def test_any_altered_byte_is_refused(url, signed):
    headers, body = signed()
    before = count(url)
    for place in range(0, len(body), 7):
        altered = bytearray(body)
        altered[place] ^= 1
        answer = post(url, headers, bytes(altered))
        assert answer.status_code in (400, 401, 422), (place, answer.text)
    assert count(url) == before
    assert post(url, headers, body).status_code == 201


def test_without_any_signature_it_is_refused(url, scheme):
    body = dumps(event(SCHEMES[scheme][0]))
    answer = post(url, {"content-type": STRUCTURED}, body)
    assert answer.status_code == 401
    assert answer.json()["detail"] == REFUSED
    assert ("accept-signature" in answer.headers) == (scheme == "message")


def test_another_key_is_refused(url, scheme, signed, monkeypatch):
    monkeypatch.setattr(f"{__name__}.KEY", SigningKey(bytes(32)))
    monkeypatch.setattr(f"{__name__}.HOOK", "whsec_" + base64.b64encode(bytes(32)).decode())
    monkeypatch.setattr(f"{__name__}.FORGE", "another")
    assert post(url, *signed()).status_code == 401


def test_each_fault_has_its_own_reason_in_the_log_alone(server, url):
    type, sign = SCHEMES["message"]
    cases = {
        "created is missing or out of tolerance": sign(url, dumps(event(type)), -400),
        "content-digest is not covered": sign(url, dumps(event(type)), covered=("@method", "@path", "content-type")),
        "keyid is missing, or names no key that counts here": sign(url, dumps(event(type)), key="nobody"),
    }
    for reason, (headers, body) in cases.items():
        answer = post(url, headers, body)
        assert answer.json()["detail"] == REFUSED
        assert answer.json()["errors"][0]["detail"] == REFUSED
        assert reason not in answer.text
    text = server.log()
    found = [reason for reason in cases if reason in text]
    assert found, "at least the first line of a bounded number"
    for secret in (base64.b64encode(SECRET).decode(), HOOK, HOOK[6:], FORGE):
        assert secret not in text


# -- each scheme's own -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["shop", "till"])
@pytest.mark.parametrize("content_type", [STRUCTURED, "application/json"])
def test_the_python_library_signs(url, key, content_type):
    given = event("message.a")
    if content_type == "application/json":
        del given["specversion"], given["source"]
    answer = post(url, *sign_message(url, dumps(given), key=key, content_type=content_type))
    assert answer.status_code == 201, answer.text
    assert answer.json()["source"] == ("/shop" if content_type == STRUCTURED else f"/keys/{key}")


def test_the_plugin_of_requests_signs(url):
    components = ("@method", "@target-uri", "content-type", "content-digest", "x-more")
    auth = HTTPSignatureAuth(
        signature_algorithm=algorithms.ED25519, key_resolver=Resolver(), key_id="shop", use_nonce=True,
        covered_component_ids=components, expires_in=datetime.timedelta(seconds=60),
    )  # fmt: skip
    headers = {"Content-Type": STRUCTURED, "X-More": "a, b"}
    answer = requests.post(url, data=dumps(event("message.a")), headers=headers, auth=auth, timeout=10)
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(("alg", "keyid"), [("ed25519", "shop"), ("hmac-sha256", "till")])
def test_the_javascript_library_signs(url, by_node, alg, keyid):
    body = dumps(event("message.a"))
    headers = {"content-type": STRUCTURED, "content-digest": digest_of(body)}
    fields = ["@method", "@path", "@authority", "@query", "content-type", "content-digest"]
    given = {"method": "POST", "url": url, "headers": headers, "fields": fields, "nonce": f"js-{next(NUMBERS)}"}
    signed = by_node("message", alg=alg, keyid=keyid, **given)["headers"]
    assert post(url, signed, body).status_code == 201
    assert post(url, {**signed, "content-type": "application/json"}, body).status_code == 401


def test_a_batch_over_two_pipelines_uses_its_nonce_once(url):
    body = dumps([event("message.a"), event("more.a"), event("message.b")])
    headers, body = sign_message(url, body, content_type=BATCH)
    answer = post(url, headers, body)
    assert answer.status_code == 201, answer.text
    assert len(answer.json()["receipts"]) == 3
    assert post(url, headers, body).status_code == 401


def test_a_gzip_body_is_signed_as_it_travels(url):
    body = gzip.compress(dumps(event("message.a")))
    request = {"content-type": STRUCTURED, "content-encoding": "gzip"}
    covered = (*COVERED, "content-encoding")
    prepared = requests.Request("POST", url, headers=request, data=body).prepare()
    prepared.headers["Content-Digest"] = digest_of(body)
    HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=Resolver()).sign(
        prepared, key_id="shop", covered_component_ids=covered, nonce="gzip", use_existing_digest=True
    )
    names = ("content-type", "content-encoding", "content-digest", "signature", "signature-input")
    headers = {name: prepared.headers[name] for name in names}
    assert post(url, headers, body).status_code == 201


def test_a_forged_body_that_is_no_event_is_told_only_that(url):
    headers, _ = sign_message(url, b"{}")
    assert post(url, headers, b'{"not": "an event"}').status_code == 401
    headers, body = sign_message(url, b'{"not": "an event"}')
    assert post(url, headers, body).status_code == 400


def test_what_github_posts(url, by_node):
    body = dumps({"zen": f"Keep it logically awesome {time.time_ns()}", "hook_id": 1, "type": "Repository", "id": 5})
    signature = by_node("github", body=body.decode(), secret=FORGE)["signature"]
    headers = {
        "content-type": "application/json",
        "user-agent": "GitHub-Hookshot/044aadd",
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "x-github-event": "ping",
        "x-hub-signature": "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6",
        "x-hub-signature-256": signature,
    }
    first = post(url, headers, body)
    assert first.status_code == 201, first.text
    receipt = first.json()
    assert (receipt["source"], receipt["id"]) == ("/keys/forge", hashlib.sha256(body).hexdigest())
    stored = httpx.get(url, params={"after": "earliest", "type": "com.github.ping"}).json()["events"]
    assert [json.loads(body)] == [one["data"] for one in stored if one["id"] == receipt["id"]]
    before = count(url)
    again = post(url, {**headers, "x-github-delivery": "another"}, body)
    assert (again.status_code, again.json()) == (200, {**receipt, "duplicate": True})
    assert post(url, {**headers, "x-github-event": "push"}, body).status_code == 409
    assert post(url, {**headers, "x-github-event": "Push!"}, body).status_code in (400, 401)
    without = {name: value for name, value in headers.items() if name != "x-github-event"}
    assert post(url, without, body).status_code in (400, 401, 422)
    assert post(url, headers, body[:-1] + b" }").status_code == 401
    assert post(url, headers, b"{").status_code == 401
    assert count(url) == before


def test_a_signed_hook_cannot_become_a_github_event(url):
    headers, body = sign_hook(url, dumps({"type": "hook.a", "data": 1}))
    headers["content-type"] = "application/json"
    assert post(url, {**headers, "x-github-event": "push"}, body).status_code == 401
    assert post(url, headers, body).status_code == 201


def test_events_signed_in_javascript(url, by_node):
    numbers = [1.0, 1e21, 1e-7, 0.1, -0.0, 333333333.33333329, 2**53 - 1, 5e-324, 1.7976931348623157e308]
    given = event("event.a", data={"numbers": numbers, "\u20ac": 1, "\ufb33": 2, "😀": 3, "\x7f": '\b\u2028"'})
    made = by_node("event", event=given)
    assert made["canonical"].encode() == rfc8785.dumps(given)
    for content_type, body in (
        (STRUCTURED, {**given, "signature": made["signature"], "signaturekey": "shop"}),
        (BATCH, [{**given, "signature": made["signature"], "signaturekey": "shop"}]),
    ):
        assert post(url, {"content-type": content_type}, dumps(body)).status_code in (200, 201)


def test_signed_events_in_batches_binary_mode_and_over_a_websocket(server, url):
    batch = [signed_event(event("event.a")), signed_event(event("event.b"))]
    assert post(url, {"content-type": BATCH}, dumps(batch)).status_code == 201
    forged = [signed_event(event("event.a")), {**signed_event(event("event.b")), "subject": "x"}]
    assert post(url, {"content-type": BATCH}, dumps(forged)).status_code == 401
    binary = signed_event(event("event.a", data={"n": 1}, datacontenttype="application/json"))
    headers = {f"ce-{name}": value for name, value in binary.items() if name not in ("data", "datacontenttype")}
    assert post(url, {**headers, "content-type": "application/json"}, dumps(binary["data"])).status_code == 201
    assert post(url, {**headers, "content-type": "application/json"}, b'{"n": 2}').status_code == 401
    with connect(f"{server.url.replace('http', 'ws')}/events/ws", subprotocols=["eventstream.v1"]) as socket:

        def publish(given):
            socket.send(json.dumps({"op": "publish", "id": "p", "event": given}))
            while (answer := json.loads(socket.recv(timeout=10))).get("id") != "p":
                pass
            return json.dumps(answer)

        assert '"durable"' in publish(signed_event(event("event.a")))
        assert "401" in publish({**signed_event(event("event.a")), "subject": "x"})
        assert "401" in publish(event("event.a"))
        assert "401" in publish(event("message.a"))
        assert '"durable"' in publish(event("free.a")), "what the policy does not require"


def test_a_stripped_signature_is_refused_where_it_is_required(url):
    given = signed_event(event("event.a"))
    for name in ("signature", "signaturekey"):
        assert post(url, {"content-type": STRUCTURED}, dumps({**given, name: None})).status_code == 401
    stripped = {name: value for name, value in given.items() if not name.startswith("signature")}
    assert post(url, {"content-type": STRUCTURED}, dumps(stripped)).status_code == 401
    free = signed_event(event("free.a"))
    assert post(url, {"content-type": STRUCTURED}, dumps({**free, "subject": "x"})).status_code == 401
    assert post(url, {"content-type": STRUCTURED}, dumps(free)).status_code == 201


def test_an_event_signed_by_a_newer_key_is_the_same_event(url):
    given = event("event.a")
    first = post(url, {"content-type": STRUCTURED}, dumps(signed_event(given)))
    again = post(url, {"content-type": STRUCTURED}, dumps({**signed_event(given), "signaturekey": "shop"}))
    assert (first.status_code, again.status_code) == (201, 200)


@pytest.mark.parametrize("times", [33, 5000])
def test_thousands_of_signatures_in_one_header_cost_little(server, url, times):
    for headers in (
        {"content-type": STRUCTURED, "webhook-id": "1", "webhook-timestamp": str(int(time.time()))}
        | {"webhook-signature": " ".join(["v1a," + "A" * 86 + "=="] * times)},
        {"content-type": STRUCTURED, "signature-input": ", ".join(f"s{n}=()" for n in range(times))}
        | {"signature": ", ".join(f"s{n}=:AA==:" for n in range(times))},
        {"content-type": STRUCTURED, "x-hub-signature-256": ",".join(["sha256=" + "0" * 64] * times)},
    ):
        began = time.perf_counter()
        answer = post(url, headers, dumps(event("hook.a")))
        assert answer.status_code in (400, 401, 431), answer.text
        assert time.perf_counter() - began < 1


KEYRING = """
version: 1
server: {workers: 2}
store:
  sqlite: {path: data/events.db}
keyring:
  file: {path: keyring.json, master_file: master.key}
pipelines:
  - name: all
    steps: [verify: {scheme: ed25519, keys: [shop]}, persist, fan_out]
"""


def test_keys_come_and_go_while_the_server_runs(tmp_path):
    file = tmp_path / "pipelines.yaml"
    file.write_text(KEYRING)

    def keys(*words, given=""):
        words = [sys.executable, "-m", "eventstream", "keys", *words]
        done = subprocess.run(words, input=given, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    keys("master", "master.key")
    with ServerProcess(file) as server:

        def sent():
            answer = post(f"{server.url}/events", {"content-type": STRUCTURED}, dumps(signed_event(event("event.a"))))
            return answer.status_code

        assert sent() == 401
        keys("import", "--owner", "shop", "--kid", "shop-1", "--kind", "ed25519", given=PUBLIC)
        wait_for(lambda: sent() == sent() == 201, "the new key to count", seconds=5)
        keys("revoke", "shop-1")
        wait_for(lambda: [sent() for _ in range(6)] == [401] * 6, "the revocation in every worker", seconds=2)
