import json
from pathlib import Path

import pytest
from keyring_folder import opened, prepare

from eventstream import Request
from eventstream.components.keyring import LiveKeys
from eventstream.testing.deadline import Clock
from eventstream.testing.keyring_contract import PUBLIC, SEED, make_key
from eventstream.testing.services import PlainServices
from eventstream_plugins.keyring.jwks import JwksRoute
from eventstream_plugins.keyring.make import make_key as make_new


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ring(tmp_path):
    prepare(tmp_path)
    ring = opened(tmp_path)
    yield ring
    ring.close()


@pytest.fixture
def ask(ring, clock, tmp_path: Path):
    def run(fixed=()):
        services = PlainServices(tmp_path, clock)
        services.keys = LiveKeys(fixed, ring)
        route = JwksRoute.create()
        route.open(services)
        return route.handle(Request("GET", route.path, {}))

    return run


def kids(answer):
    return [key["kid"] for key in json.loads(answer.body)["keys"]]


def test_our_public_signing_keys_and_nothing_else(ask, ring, clock):
    ring.add(make_key("ours", owner="server", kind="ed25519", public=PUBLIC, private=SEED, purpose="sign"))
    ring.add(make_new("ed25519", "any", 1.9e9, kid="any").key)
    ring.add(make_new("ed25519", "tokens", 1.0, kid="tokens", purpose="token").key)
    ring.add(make_new("curve25519", "a", 1.0, kid="box").key)
    ring.add(make_new("secret", "a", 1.0, kid="secret").key)
    ring.add(make_new("hmac", "a", 1.0, kid="hmac").key)
    theirs = make_new("ed25519", "shop", 1.0).key
    ring.add(make_key("theirs", kind="ed25519", public=theirs.public, private=b""))
    answer = ask(fixed=[make_key("fixed", kind="ed25519", public=theirs.public, private=b"")])
    assert answer.status == 200
    assert kids(answer) == ["any", "ours"]
    assert json.loads(answer.body)["keys"][1] == {
        "kty": "OKP", "crv": "Ed25519", "kid": "ours", "use": "sig", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }  # fmt: skip
    assert b'"d"' not in answer.body
    assert answer.headers["content-type"] == "application/jwk-set+json"
    assert answer.headers["cache-control"] == "public, max-age=60"


def test_only_keys_that_count_now(ask, ring, clock):
    now = clock()
    ring.add(make_new("ed25519", "a", now, kid="good", expires=now + 100).key)
    ring.add(make_new("ed25519", "a", now - 1, kid="future", not_before=now + 50).key)
    ring.add(make_new("ed25519", "a", now - 2, kid="revoked").key)
    ring.add(make_new("ed25519", "a", now - 3, kid="old").key)
    ring.change("revoked", state="revoked")
    ring.change("old", state="retiring", expires=now + 10)
    assert kids(ask()) == ["good", "old"]
    clock.advance(60)
    assert kids(ask()) == ["good", "future"]
    clock.advance(60)
    assert kids(ask()) == ["future"]
    clock.advance(-120)
    assert kids(ask()) == ["good", "old"]


def test_everybody_may_ask():
    assert JwksRoute.right is None
    assert JwksRoute.create({"path": "/keys.json"}).path == "/keys.json"
