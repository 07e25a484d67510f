import httpx
import pytest

from eventstream.testing.process import ServerProcess

ANY, NAMED = "any", "named"
PAGE = "https://shop.example"
CONFIG = """
version: 1
server:
  cors: %s
  proxies: ["127.0.0.1", "10.0.0.0/8"]
store:
  sqlite: {path: events.db}
pipelines:
  - name: peers
    match: {type: "who.am.i"}
    steps: [tell_client]
  - name: default
    steps: [persist, fan_out]
outputs:
  - sse: {path: /events, heartbeat: 1s}
  - websocket: {path: /events/ws}
"""
CORS = {ANY: '{origins: ["*"]}', NAMED: '{origins: ["https://shop.example"], credentials: true}'}
TELL_CLIENT = '''
from eventstream import NoConfig, Reject, Step, hookimpl


class TellClient(Step):
    """Tell the producer its address."""

    name = "tell_client"
    Config = NoConfig

    def process(self, event, context):
        raise Reject(context.client, status=422)


@hookimpl
def eventstream_steps():
    return [TellClient]
'''


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    """One client for each configuration of CORS."""
    folder = tmp_path_factory.mktemp("cors")
    (folder / "tell_client.py").write_text(TELL_CLIENT)
    servers, clients = [], {}
    for name, cors in CORS.items():
        file = folder / f"{name}.yaml"
        file.write_text(CONFIG % cors)
        servers.append(ServerProcess(file, workers=1, plugins=(str(folder / "tell_client.py"),)))
        servers[-1].start()
        clients[name] = httpx.Client(base_url=servers[-1].url, timeout=10)
    yield clients
    for client, server in zip(clients.values(), servers, strict=True):
        client.close()
        assert server.events("request_failed") == []
        server.stop()


def preflight(client, path="/events", origin=PAGE, headers="content-type,idempotency-key", method="POST"):
    return client.options(
        path,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": headers,
        },
    )


def allowances(reply):
    return {name for name in reply.headers if name.startswith("access-control-")}


def test_a_preflight_is_answered_with_what_it_asks_for(clients):
    reply = preflight(clients[ANY])
    assert reply.status_code == 204
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["access-control-allow-headers"] == "content-type,idempotency-key"
    assert "POST" in reply.headers["access-control-allow-methods"]
    assert int(reply.headers["access-control-max-age"]) > 0
    assert "access-control-allow-credentials" not in reply.headers


def test_with_credentials_the_origin_is_exact_and_never_any(clients):
    for reply in (preflight(clients[NAMED]), clients[NAMED].get("/events", headers={"Origin": PAGE})):
        assert reply.is_success
        assert reply.headers["access-control-allow-origin"] == PAGE
        assert reply.headers["access-control-allow-credentials"] == "true"


def test_a_simple_request_s_answer_may_be_read_with_the_headers_that_matter(clients):
    reply = clients[ANY].post("/events", json={"type": "a"}, headers={"Origin": PAGE})
    assert reply.status_code == 201
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "Retry-After" in reply.headers["access-control-expose-headers"]


def test_a_refusal_may_be_read_too(clients):
    reply = clients[ANY].post("/events", json={}, headers={"Origin": PAGE})
    assert reply.status_code == 400
    assert reply.headers["access-control-allow-origin"] == "*"


def test_a_stream_may_be_read(clients):
    with clients[NAMED].stream("GET", "/events", headers={"Origin": PAGE, "Accept": "text/event-stream"}) as reply:
        assert reply.headers["access-control-allow-origin"] == PAGE
        assert reply.headers["vary"] == "Origin"
        assert next(reply.iter_lines())


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://shop.example", "null", "https://shop.example.evil", "x"]
)
def test_a_page_of_another_origin_is_refused(clients, origin):
    for method, path in (("POST", "/events"), ("GET", "/events"), ("GET", "/events/ws")):
        reply = clients[NAMED].request(method, path, headers={"Origin": origin}, json={"type": "a"})
        assert reply.status_code == 403
        assert reply.headers["content-type"] == "application/problem+json"
        assert origin not in reply.text
        assert allowances(reply) == set()
    assert allowances(preflight(clients[NAMED], origin=origin)) == set()


@pytest.mark.parametrize("path", ["/", "/-/health", "/-/metrics", "/openapi.json", "/eventsx"])
def test_other_paths_allow_no_other_origin(clients, path):
    reply = clients[ANY].get(path, headers={"Origin": PAGE})
    assert reply.status_code == 403
    assert allowances(reply) == set()
    assert allowances(preflight(clients[ANY], path=path, method="GET")) == set()


def test_a_page_of_our_own_host_may_use_everything(clients):
    own = str(clients[NAMED].base_url)
    assert clients[NAMED].get("/-/health", headers={"Origin": own}).status_code == 200
    assert clients[NAMED].post("/events", json={"type": "a"}, headers={"Origin": own}).status_code == 201


def test_null_is_allowed_where_everybody_is(clients):
    reply = clients[ANY].get("/events", headers={"Origin": "null"})
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, "*")


def test_every_answer_varies_by_origin(clients):
    """Else a cache could give a page the answer that was meant for somebody without an Origin."""
    for reply in (clients[NAMED].get("/events"), clients[NAMED].get("/nothing"), preflight(clients[NAMED])):
        assert reply.headers["vary"] == "Origin"


@pytest.mark.parametrize("wanted", ["a b", "x" * 2000, "a\xff", "a;b"])
def test_header_lists_that_are_none_are_not_repeated(clients, wanted):
    assert "access-control-allow-headers" not in preflight(clients[ANY], headers=wanted.encode("latin-1")).headers


def test_origins_outside_ascii_are_refused_and_break_nothing(clients):
    assert clients[NAMED].get("/events", headers={"Origin": b"https://\xff\xfe"}).status_code == 403
    assert clients[ANY].get("/events", headers={"Origin": b"https://\xff\xfe"}).status_code == 200


def test_the_cloudevents_webhook_handshake(clients):
    reply = clients[ANY].options(
        "/events", headers={"WebHook-Request-Origin": "events.example", "WebHook-Request-Rate": "120"}
    )
    assert reply.status_code == 204
    assert reply.headers["webhook-allowed-origin"] == "events.example"
    assert reply.headers["webhook-allowed-rate"] == "*"
    assert "POST" in reply.headers["allow"]


@pytest.mark.parametrize(
    ("path", "origin"), [("/-/health", b"events.example"), ("/events", b"a b"), ("/events", b"\xff")]
)
def test_a_handshake_that_is_none_gets_no_allowance(clients, path, origin):
    reply = clients[ANY].options(path, headers={"WebHook-Request-Origin": origin})
    assert reply.status_code == 204
    assert "webhook-allowed-origin" not in reply.headers


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ({}, "127.0.0.1"),
        ({"X-Forwarded-For": "6.6.6.6, 9.9.9.9, 10.1.2.3"}, "9.9.9.9"),
        ({"Forwarded": 'for=6.6.6.6, for="[2001:db8::7]:80";proto=https'}, "2001:db8::7"),
        ({"X-Forwarded-For": "nonsense\xff"}, "127.0.0.1"),
    ],
)
def test_a_step_sees_the_client_behind_our_proxies(clients, headers, client):
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    assert clients[ANY].post("/events", json={"type": "who.am.i"}, headers=raw).json()["detail"] == client


@pytest.mark.parametrize(
    "scheme", [{"X-Forwarded-Proto": "https"}, {"X-Forwarded-Proto": "nonsense"}, {"SCRIPT-NAME": "/x"}]
)
def test_forwarded_schemes_and_prefixes_change_nothing(clients, scheme):
    assert clients[ANY].post("/events", json={"type": "a"}, headers=scheme).status_code == 201
