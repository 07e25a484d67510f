"""Tokens of npm `jose` and PyJWT; tickets and cookies in npm `eventsource` and in Chromium."""

import hashlib
import json
import time

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from httpx_sse import connect_sse

CHROMIUM = "/usr/bin/chromium"
KEY = f"esk_shop-20261123-abc234_{'S3cret_-' * 6}"
CONFIG = """
version: 1
server:
  workers: 2
  cors: {origins: ["%(origin)s"], paths: [/events, /tickets], credentials: true}
store:
  sqlite: {path: data/events.db}
keys:
  shop: {api-key: "%(digest)s"}
auth:
  chain:
    - jwt: {jwks: "%(jwks)s", audience: [events], issuer: [https://id.example]}
    - api-key
    - ticket
  grants:
    - {to: [shop, ann], publish: {type: "shop.*"}, subscribe: {type: "shop.*"}}
pipelines:
  - name: all
    steps: [persist, fan_out]
outputs:
  - sse: {heartbeat: 1s}
  - websocket: {path: /events/ws}
routes: [tickets]
"""
OWN = {"own-ed": Ed25519PrivateKey.generate(), "own-ec": ec.generate_private_key(ec.SECP256R1())}
ALGORITHMS = {"own-ed": "EdDSA", "own-ec": "ES256"}
REFUSED = "the credential is not accepted"


@pytest.fixture(scope="module")
def jose(run_client):
    return run_client("jose.mjs")


@pytest.fixture(scope="module")
def token(jose):
    """A function that returns a token by `jose` (an algorithm) or by PyJWT (a key of OWN)."""

    def make(signer, **changed):
        now = int(time.time())
        claims = {"iss": "https://id.example", "aud": "events", "sub": "ann", "iat": now, "exp": now + 600, **changed}
        claims = {name: value for name, value in claims.items() if value is not ...}
        if signer in OWN:
            return jwt.encode(claims, OWN[signer], ALGORITHMS[signer], {"kid": signer})
        count = len(jose.lines)
        jose.tell({"alg": signer, "claims": claims})
        return jose.wait(lambda lines: len(lines) > count and lines[-1]["token"], "a token")

    return make


@pytest.fixture(scope="module")
def auth_server(serve_module, jose, origin, tmp_path_factory):
    (first,) = jose.wait(lambda lines: lines[:1], "the keys")
    keys = first["jwks"]["keys"]
    for kid, private in OWN.items():
        keys.append(
            {**jwt.get_algorithm_by_name(ALGORITHMS[kid]).to_jwk(private.public_key(), as_dict=True), "kid": kid}
        )
    file = tmp_path_factory.mktemp("idp") / "jwks.json"
    file.write_text(json.dumps({"keys": keys}))
    digest = f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"
    return serve_module(CONFIG % {"origin": origin, "digest": digest, "jwks": file})


def publish(server, n=0, type="shop.order", **headers):
    return httpx.post(f"{server.url}/events", json={"type": type, "data": n}, headers=headers)


def bearer(text):
    return {"Authorization": f"Bearer {text}"}


def by_key(server, n):
    answer = publish(server, n, **{"X-API-Key": KEY})
    assert answer.status_code == 201, answer.text
    return answer.json()["cursor"]


SIGNERS = ["EdDSA", "ES256", "RS256", *OWN]


@pytest.mark.parametrize("signer", SIGNERS)
def test_tokens_of_other_libraries(auth_server, token, signer):
    answer = publish(auth_server, **bearer(token(signer)))
    assert answer.status_code == 201, answer.text
    assert answer.json()["source"] == "/identities/ann"
    refused = publish(auth_server, type="bank.order", **bearer(token(signer)))
    assert refused.status_code == 403
    assert "shop.*" in refused.json()["detail"]


@pytest.mark.parametrize("signer", SIGNERS)
@pytest.mark.parametrize(
    "changed",
    [{"aud": "others"}, {"aud": ...}, {"exp": 1}, {"exp": ...}, {"iss": "x"}, {"sub": ...}, {"nbf": 1 << 40}],
    ids=str,
)
def test_claims_that_do_not_hold(auth_server, token, signer, changed):
    answer = publish(auth_server, **bearer(token(signer, **changed)))
    assert (answer.status_code, answer.json()["detail"]) == (401, REFUSED)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_can_only_narrow(auth_server, token):
    narrow = token("ES256", eventstream={"publish": ["shop.a"]})
    assert publish(auth_server, type="shop.a", **bearer(narrow)).status_code == 201
    assert publish(auth_server, type="shop.b", **bearer(narrow)).status_code == 403
    wide = token("ES256", eventstream={"publish": True})
    assert publish(auth_server, type="bank.a", **bearer(wide)).status_code == 403
    assert publish(auth_server, **bearer(token("ES256", eventstream={"admin": True}))).status_code == 401


def test_a_stream_ends_when_its_token_does(auth_server, token):
    expires = int(time.time()) + 3
    with (
        httpx.Client(base_url=auth_server.url, timeout=10, headers=bearer(token("EdDSA", exp=expires))) as client,
        connect_sse(client, "GET", "/events?type=shop.*") as source,
    ):
        frames = list(source.iter_sse())
    assert expires <= time.time() < expires + 1.5
    assert (frames[0].event, frames[-1].event, frames[-1].json()) == ("cursor", "goodbye", {"reason": "expired"})


def test_what_nobody_takes_is_refused(auth_server, token):
    for text in ("x", "esk_", token("EdDSA")[:-2], f"{token('EdDSA')}, Bearer {KEY}"):
        assert publish(auth_server, **bearer(text)).json()["detail"] == REFUSED
    assert publish(auth_server, **{"X-API-Key": "x"}).status_code == 401
    assert publish(auth_server).status_code == 401
    for query in (f"access_token={token('EdDSA')}", f"ticket={KEY}", "ticket=", "ticket=a&ticket=b"):
        assert httpx.get(f"{auth_server.url}/events?type=shop.*&{query}").status_code == 401


# -- tickets and cookies ---------------------------------------------------------------------------


def select(lines, what, by=None):
    return [line for line in lines if line["what"] == what and line.get("by") == by]


def await_lines(client, what, count=1, by=None):
    return client.wait(lambda lines: len(found := select(lines, what, by)) >= count and found, f"{count} {what}")


@pytest.mark.parametrize("mode", ["ticket", "cookie"])
def test_eventsource_comes_back_by_itself(auth_server, run_client, cutting_proxy, mode):
    proxy = cutting_proxy(auth_server.port)
    client = run_client("tickets.mjs", mode, auth_server.url, proxy.url, KEY)
    await_lines(client, "cursor")
    cursors = []
    for _ in range(3):
        cursors += [by_key(auth_server, n) for n in range(10)]
        await_lines(client, "event", len(cursors) - 5)
        proxy.cut()
    cursors += [by_key(auth_server, n) for n in range(10)]
    found = await_lines(client, "event", len(cursors))
    assert [line["cursor"] for line in found] == cursors


def test_logging_out_ends_the_stream(auth_server, run_client):
    client = run_client("tickets.mjs", "cookie", auth_server.url, auth_server.url, KEY)
    await_lines(client, "cursor")
    began = time.monotonic()
    client.tell("logout")
    assert await_lines(client, "logout")[0]["status"] == 204
    assert await_lines(client, "goodbye")[0]["reason"] == "revoked"
    assert time.monotonic() - began < 2
    assert await_lines(client, "closed")[0]["code"] == 401, "the cookie opens nothing any more"


def test_in_chromium(auth_server, origin, run_client, tmp_path):
    url = f"{origin}/tickets.html?server={auth_server.url}&key={KEY}"
    page = run_client("browser.mjs", CHROMIUM, tmp_path / "profile", url)
    for by in ("ticket", "cookie"):
        await_lines(page, "cursor", by=by)
    assert await_lines(page, "script", by="cookie")[0]["cookie"] == "", "no script reads the cookie"
    cursors = [by_key(auth_server, n) for n in range(10)]
    for by in ("ticket", "cookie"):
        assert [line["cursor"] for line in await_lines(page, "event", 10, by)] == cursors
    page.tell({})
    assert await_lines(page, "logout", by="cookie")[0]["status"] == 204
    assert await_lines(page, "goodbye", by="cookie")[0]["reason"] == "revoked"
    await_lines(page, "closed", by="cookie")
    last = by_key(auth_server, 10)
    assert await_lines(page, "event", 11, "ticket")[-1]["cursor"] == last, "the ticket's stream is another's"


def ask(server, body=None, **headers):
    return httpx.post(f"{server.url}/tickets", json=body, headers={"X-API-Key": KEY, **headers})


def test_a_ticket_opens_one_stream(auth_server):
    ticket = ask(auth_server).json()["ticket"]
    url = f"{auth_server.url}/events?type=shop.*&limit=1&ticket={ticket}"
    assert httpx.post(f"{auth_server.url}/events?ticket={ticket}", json={"type": "shop.x"}).status_code == 401
    assert httpx.get(url).status_code == 200
    for _ in range(8):  # whichever worker
        answer = httpx.get(url)
        assert (answer.status_code, answer.json()["detail"]) == (401, REFUSED)
        assert ticket not in answer.text


def test_a_narrowed_ticket_opens_no_more(auth_server):
    ticket = ask(auth_server, {"subscribe": ["shop.a.*"]}).json()["ticket"]
    assert httpx.get(f"{auth_server.url}/events?type=shop.*&ticket={ticket}").status_code == 403
    ticket = ask(auth_server, {"subscribe": ["shop.a.*"]}).json()["ticket"]
    assert httpx.get(f"{auth_server.url}/events?type=shop.a.b&ticket={ticket}").status_code == 200
    refused = ask(auth_server, {"subscribe": ["bank.*"]})
    assert refused.status_code == 403
    assert "bank.*" in refused.json()["detail"]


def test_a_cookie_never_publishes(auth_server):
    cookie = {"Cookie": ask(auth_server, {"cookie": True}).headers["Set-Cookie"].partition(";")[0]}
    assert httpx.get(f"{auth_server.url}/events?type=shop.*", headers=cookie).status_code == 200
    for path, body in (("/events", {"type": "shop.x"}), ("/tickets", None), ("/tickets", {"cookie": True})):
        assert httpx.post(f"{auth_server.url}{path}", json=body, headers=cookie).status_code == 401
    both = {**cookie, **bearer("x")}
    assert httpx.get(f"{auth_server.url}/events?type=shop.*", headers=both).status_code == 401


def test_the_log_holds_no_credential(auth_server, token):
    """The last test of this module: all the others have been logged."""
    texts = [token("EdDSA"), ask(auth_server).json()["ticket"]]
    texts.append(ask(auth_server, {"cookie": True}).headers["Set-Cookie"].partition(";")[0].partition("=")[2])
    publish(auth_server, **bearer(texts[0][:-2]))
    httpx.get(f"{auth_server.url}/events?type=shop.*&ticket={texts[1]}x")
    httpx.get(f"{auth_server.url}/events?type=bank.*&ticket={texts[1]}")
    httpx.get(f"{auth_server.url}/events", headers={"Cookie": f"eventstream-session={texts[2]}x"})
    log = auth_server.log()
    assert len(auth_server.events("refused")) > 3
    for secret in (KEY, KEY[-30:], "S3cret_-S3cret", "ticket=", "eventstream-session=", "eyJ", *texts):
        assert secret not in log
    assert "Traceback" not in log
