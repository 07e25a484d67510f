"""The route behind real identities: who may use it, and whose keys."""

import hashlib
import json
import os
import subprocess
import sys

import httpx
import pytest
from crypto_api import b64

from eventstream.testing.process import ServerProcess, wait_for

NAMES = ("anna", "bert", "carl")
TOKENS = {name: f"esk_{name}_not-a-secret-but-a-test-of-{name}" for name in NAMES}
KEYS = {name: {"api-key": f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"} for name, token in TOKENS.items()}
CONFIG = """
version: 1
server: {workers: 2}
store: {sqlite: {path: data/events.db}}
keyring: {file: {path: keyring.json, master: "${env:MASTER}"}}
auth:
  chain: [api-key]
  grants:
    - {to: [anna, bert], crypto: true}
    - {to: carl, publish: true}
pipelines:
  - name: default
    steps: [{sign: {key: signer}}, persist]
routes:
  - crypto: {private_keys: never, inline_keys: false, keep: [own, signer], use: [own], register: [readers]}
keys: """
ENVIRON = {"MASTER": b64(bytes(range(32)))}
SIGN = {"operation": "sign", "message": "YQ=="}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    file = tmp_path_factory.mktemp("identities") / "pipelines.yaml"
    file.write_text(CONFIG + json.dumps(KEYS))
    with ServerProcess(file, environ=ENVIRON) as running:
        running.folder = file.parent
        yield running
    assert "Traceback" not in running.log()


@pytest.fixture(scope="module")
def ask(server):
    """A function that asks under a name; each request is a connection of its own, so that both workers are met."""

    def ask(name, value, path="/crypto"):
        headers = {} if name is None else {"X-API-Key": TOKENS.get(name, name)}
        return httpx.post(f"{server.url}{path}", json=value, headers=headers, timeout=20)

    return ask


def keep(ask, name, owner=None):
    words = {"owner": owner or name, "expires": "1h"}
    answer = ask(name, {"operation": "generate_key", "kind": "ed25519", "keep": words})
    assert answer.status_code == 200, answer.text
    return answer.json()


def signing(ask, name, kid):
    return ask(name, SIGN | {"private_key": {"kid": kid}})


def everywhere(ask, name, kid, status):
    wait_for(lambda: {signing(ask, name, kid).status_code for _ in range(8)} == {status}, f"{status} of every worker")


def test_who_is_not_known_gets_401_and_who_is_not_granted_403(ask):
    one = {"operation": "random", "size": 1}
    for name, detail in ((None, "say who you are"), ("esk_anna_wrong-wrong-wrong-wrong", "is not accepted")):
        answer = ask(name, one)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"]
        assert detail in answer.json()["detail"]
    answer = ask("carl", one)
    assert answer.status_code == 403
    assert "carl" in answer.json()["detail"]
    assert ask("anna", one).status_code == 200


def test_refusals_come_before_the_body_is_looked_at(ask):
    for value in ({"operation": "nonsense"}, [], None):
        assert ask(None, value).status_code == 401
        assert ask("carl", value).status_code == 403


def test_own_keys_are_kept_and_used_by_their_owner_alone(ask):
    kept = keep(ask, "anna")
    everywhere(ask, "anna", kept["kid"], 200)
    signature = signing(ask, "anna", kept["kid"]).json()["signature"]
    verify = {"operation": "verify", "public_key": {"kid": kept["kid"]}, "message": "YQ==", "signature": signature}
    assert ask("bert", verify).json()["valid"] is True, "the public half is for everybody"
    refused = signing(ask, "bert", kept["kid"])
    assert (refused.status_code, refused.json()["detail"]) == (403, "you may not use keys of anna")
    other = ask("anna", {"operation": "generate_key", "kind": "secret", "keep": {"owner": "bert"}})
    assert (other.status_code, other.json()["detail"]) == (403, "you may not keep keys for bert")


def test_a_batch_tells_own_keys_from_others(ask):
    anna, bert = keep(ask, "anna")["kid"], keep(ask, "bert")["kid"]
    everywhere(ask, "anna", anna, 200)
    everywhere(ask, "bert", bert, 200)
    results = ask("bert", [SIGN | {"private_key": {"kid": kid}} for kid in (anna, bert)]).json()["results"]
    assert results[0]["problem"]["status"] == 403
    assert results[0]["problem"]["errors"][0]["pointer"] == "#/0/private_key"
    assert results[1]["signature"]


def test_a_kept_key_signs_no_events(ask):
    keep(ask, "anna", owner="signer")
    answer = ask("carl", {"type": "seen"}, path="/events")
    assert answer.status_code == 503
    assert "signed" in answer.json()["detail"]


def test_a_revoked_key_and_a_revoked_caller_are_refused_everywhere(server, ask):
    kid = keep(ask, "bert")["kid"]
    everywhere(ask, "bert", kid, 200)
    eventstream(server, "keys", "revoke", kid)
    everywhere(ask, "bert", kid, 422)
    assert signing(ask, "bert", kid).json()["detail"] == "this key is revoked"
    eventstream(server, "revoke", "bert", "--for", "1h")
    everywhere(ask, "bert", kid, 401)


def eventstream(server, *words):
    command = [sys.executable, "-m", "eventstream", *words]
    subprocess.run(command, cwd=server.folder, env=os.environ | ENVIRON, timeout=60, check=True, capture_output=True)
