"""The route in a real server: workers share what is kept, processes end, nothing secret is left behind."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from crypto_api import b64

from eventstream.testing.process import wait_for

SECRET = "planted-password-of-somebody"
MASTER = b64(bytes(range(32)))
CONFIG = """
version: 1
server:
  workers: 2
  cors: {origins: ["https://shop.example"], paths: [/events, /crypto]}
store:
  sqlite: {path: data/events.db}
keyring:
  file: {path: keyring.json, master: "${env:MASTER}"}
pipelines:
  - name: default
    steps:
      - encrypt: {to: [readers]}
      - persist
      - fan_out
routes:
  - crypto: {private_keys: return, keep: [us], use: [us], register: [readers], passwords: {queue: 0}}
"""
SHOP, OTHER = {"Origin": "https://shop.example"}, {"Origin": "https://other.example"}


@pytest.fixture
def server(serve):
    return serve(CONFIG, environ={"MASTER": MASTER})


@pytest.fixture
def post(server):
    def ask(value, **headers):
        return httpx.post(f"{server.url}/crypto", json=value, headers=headers, timeout=20)

    return ask


def hashers(server):
    """The processes that hash, by worker."""
    found = {}
    for worker in server.workers():
        children = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()
        found[worker] = [int(pid) for pid in children if "argon2_process" in Path(f"/proc/{pid}/cmdline").read_text()]
    return found


def gone(pid):
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or " Z " in stat.read_text()


def test_kept_keys_are_known_to_every_worker(server, post):
    kid = post({"operation": "generate_key", "kind": "secret", "keep": {"owner": "us"}}).json()["kid"]
    ask = {"operation": "encrypt", "key": {"kid": kid}, "plaintext": "YQ=="}
    # each request is a connection of its own: twenty in a row reach both workers
    wait_for(lambda: all(post(ask).status_code == 200 for _ in range(20)), "both workers to know the key", seconds=5)
    assert server.events("request_failed") == []


def test_events_are_sealed_to_a_registered_key(server, post):
    pair = post({"operation": "generate_key", "kind": "curve25519"}).json()
    known = post({"operation": "register_key", "owner": "readers", "public_key": pair["public_key"]}).json()
    event = {"type": "seen", "data": {"secret": SECRET}}
    wait_for(lambda: all(httpx.post(f"{server.url}/events", json=event).is_success for _ in range(9)), "workers to see")
    sealed = [one["data"] for one in httpx.get(f"{server.url}/events").json()["events"]]
    assert sealed
    for envelope in sealed:
        assert known["kid"] in str(envelope)
        assert SECRET not in str(envelope)


def test_hashing_ends_with_worker_and_server(server, post):
    ask = {"operation": "password_hash", "password": SECRET}
    wait_for(lambda: post(ask) and all(hashers(server).values()), "both workers to hash", seconds=30)
    worker, (pid,) = next(iter(hashers(server).items()))
    others = [one for found in hashers(server).values() for one in found]
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: gone(pid), "the process to end with its worker")
    wait_for(lambda: len(server.workers()) == 2, "another worker")
    server.stop()
    wait_for(lambda: all(map(gone, others)), "all processes to end with the server")
    assert "Traceback" not in server.log()


def test_one_too_many_is_503(server):
    one = {"operation": "password_hash", "password": SECRET}
    with httpx.Client(base_url=server.url, timeout=30) as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post("/crypto", json=one), range(24)))
    assert {answer.status_code for answer in answers} == {200, 503}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.headers["Retry-After"] == "1"
    assert refused.json()["detail"] == "many passwords are waiting; try again"
    assert server.events("request_failed") == []


def test_pages_of_listed_origins_may_use_it(post):
    one = {"operation": "random", "size": 1}
    assert post(one, **SHOP).headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert post(one, **OTHER).status_code == 403


def test_nothing_secret_is_left_behind(server, post, tmp_path):
    pair = post({"operation": "generate_key", "kind": "ed25519"}).json()
    kept = post({"operation": "generate_key", "kind": "secret", "keep": {"owner": "us"}}).json()
    private = pair["private_key"]
    post({"operation": "password_hash", "password": SECRET})
    post({"operation": "password_hash", "password": SECRET, "more": SECRET})
    post({"operation": "sign", "private_key": private, "message": b64(SECRET.encode())})
    post({"operation": "sign", "private_key": private + "A", "message": ""})
    post({"operation": SECRET, "key": private})
    post([{"operation": "encrypt", "key": {"kid": kept["kid"]}, "plaintext": b64(SECRET.encode()), "nonce": private}])
    metrics = httpx.get(f"{server.url}/-/metrics").text
    server.stop()
    files = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file() and file.name != "pipelines.yaml"]
    for secret in (SECRET, private, private[:40], b64(SECRET.encode()), MASTER):
        assert secret not in metrics
        assert not any(secret.encode() in data for data in files), secret


def test_the_openapi_document_is_valid(server):
    validator = pytest.importorskip("openapi_spec_validator")
    document = httpx.get(f"{server.url}/openapi.json").json()
    validator.validate(document)
    operation = document["paths"]["/crypto"]["post"]
    assert operation["operationId"] == "crypto_post"
    assert operation["requestBody"]["required"]
    assert {"200", "400", "403", "413", "415", "422", "503"} <= set(operation["responses"])
    assert "crypto.Sign" in document["components"]["schemas"]
