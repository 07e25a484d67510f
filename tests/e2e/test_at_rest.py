"""Encryption at rest from outside: readers notice nothing, and the files hold nothing to read."""

import json
import secrets
import shutil
import subprocess
import sys

import httpx
import pytest
from httpx_sse import connect_sse
from nacl.signing import VerifyKey

from eventstream import canonical_event, decode_base64, from_mapping
from eventstream.testing.process import ServerProcess, wait_for

CONFIG = """
version: 1
server: {workers: 2}
store:
  sqlite: {path: data/events.db, durability: os}
  at_rest: {key: disk}
  chain: {}
keyring:
  file: {path: keys/keyring.json, master_file: keys/master.key}
pipelines:
  - name: default
    steps:
      - sign: {key: server}
      - persist
      - fan_out
outputs:
  - sse
routes:
  - jwks
"""


def run(folder, *words, status=0, **options):
    done = subprocess.run(
        [sys.executable, "-m", "eventstream", *words],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False, **options,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with the configuration and its keys."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "pipelines.yaml").write_text(CONFIG)
    (folder / "keys").mkdir(mode=0o700)
    run(folder, "keys", "master")
    run(folder, "keys", "new", "secret", "--owner", "disk", "--purpose", "at-rest")
    run(folder, "keys", "new", "ed25519", "--owner", "server", "--purpose", "sign")
    return folder


@pytest.fixture
def folder(prepared, tmp_path):
    return shutil.copytree(prepared, tmp_path / "here")


@pytest.fixture
def server(folder):
    with ServerProcess(folder / "pipelines.yaml") as server:
        yield server


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url, timeout=10) as client:
        yield client


def planted():
    return f"planted-{secrets.token_hex(8)}"


def publish(client, ident, word, status=201):
    event = {"id": ident, "source": "/s", "type": "t", "time": "2026-11-23T00:00:00Z", "data": {"word": word}}
    answer = client.post("/events", json=event)
    assert answer.status_code == status, answer.text
    return answer.json()


def words_of(fields):
    return [one["data"]["word"] for one in fields["events"]]


def kids(folder, owner="disk"):
    shown = json.loads(run(folder, "keys", "list", "--json", "--owner", owner))
    return [key["kid"] for key in (shown["keys"] if isinstance(shown, dict) else shown)]


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def verify(client, fields):
    """Verify the server's signature with its published key."""
    event = from_mapping(fields).event
    keys = {key["kid"]: decode_base64(key["x"]) for key in client.get("/.well-known/jwks.json").json()["keys"]}
    public = VerifyKey(keys[event.extensions["signaturekey"]])
    public.verify(canonical_event(event), decode_base64(event.extensions["signature"]))


def test_readers_notice_nothing_and_no_file_holds_what_was_planted(folder, server, client):
    words = [planted() for _ in range(20)]
    with connect_sse(client, "GET", "/events") as source:
        frames = source.iter_sse()
        assert next(frames).event == "cursor"
        for number, word in enumerate(words):
            publish(client, str(number), word)
        live = [json.loads(next(frames).data)["data"]["word"] for _ in words]
    assert live == words
    assert words_of(client.get("/events?after=earliest").json()) == words
    with connect_sse(client, "GET", "/events?after=earliest&source=/s") as source:
        frames = (frame for frame in source.iter_sse() if frame.event == "message")
        assert [json.loads(next(frames).data)["data"]["word"] for _ in words] == words
    verify(client, client.get("/events?after=earliest").json()["events"][0])
    content = files(folder)
    assert any(b'"source":"/s"' in one for path, one in content.items() if "events.db" in path.name)
    assert [path for path, one in content.items() if any(word.encode() in one for word in words)] == []


def test_repeats_and_conflicts_are_known_also_after_a_rotation(folder, server, client):
    first = publish(client, "1", "one")
    run(folder, "keys", "rotate", "disk")
    (new,) = [kid for kid in kids(folder) if not is_used(folder, kid)]
    wait_for(lambda: publish_new(client, folder, new), "the new key to be used")
    assert publish(client, "1", "one", status=200)["cursor"] == first["cursor"]
    publish(client, "1", "other", status=409)
    assert "one" in words_of(client.get("/events?after=earliest").json())


def is_used(folder, kid):
    rows = b"".join(one for path, one in files(folder).items() if path.name.startswith("events.db"))
    return f'"kid":"{kid}"'.encode() in rows


def publish_new(client, folder, kid):
    publish(client, secrets.token_hex(4), "more")
    return is_used(folder, kid)


def test_what_a_revoked_key_sealed_is_a_gap_and_nobody_is_stuck(folder, server, client):
    publish(client, "1", "lost")
    (old,) = kids(folder)
    run(folder, "keys", "rotate", "disk")
    run(folder, "keys", "revoke", old)

    def gone():
        publish(client, secrets.token_hex(4), "kept")
        return "lost" not in words_of(client.get("/events?after=earliest").json())

    wait_for(gone, "the revocation")
    with connect_sse(client, "GET", "/events?after=earliest") as source:
        seen = []
        for frame in source.iter_sse():
            seen.append(frame)
            if frame.event == "message":
                break
    assert json.loads(seen[-1].data)["data"]["word"] == "kept"
    assert any(entry["reason"] == "revoked" for entry in server.events("event_unreadable"))
    wait_for(lambda: "at_rest_unreadable" in client.get("/-/metrics").text, "the count")
    assert "kept" in run(folder, "export", status=1)


def test_without_an_active_key_nothing_is_stored(folder, server, client):
    publish(client, "1", "one")
    run(folder, "keys", "revoke", *kids(folder))

    def refused():
        answer = client.post("/events", json={"type": "t", "data": 1})
        return answer.status_code == 503 and answer

    answer = wait_for(refused, "the refusal")
    assert int(answer.headers["Retry-After"]) > 0
    assert "disk" not in answer.text


def test_commands_beside_it(folder, server, client):
    words = [planted() for _ in range(5)]
    for number, word in enumerate(words):
        publish(client, str(number), word)
    exported = run(folder, "export")
    assert [json.loads(line)["data"]["word"] for line in exported.splitlines()] == words
    assert "5" in run(folder, "verify-log")
    run(folder, "backup", str(folder / "copy.db"))
    copy = (folder / "copy.db").read_bytes()
    assert b'"data_sealed"' in copy
    assert not any(word.encode() in copy for word in words)

    (folder / "other.yaml").write_text(CONFIG.replace("data/events.db", "other/events.db"))
    (folder / "other").mkdir()
    (folder / "copy.db").replace(folder / "other" / "events.db")
    assert run(folder, "export", "--config", "other.yaml") == exported
    (folder / "third.yaml").write_text(CONFIG.replace("data/events.db", "third/events.db"))
    assert "5 events imported" in run(folder, "import", "-", "--config", "third.yaml", input=exported)
    third = b"".join(one for path, one in files(folder / "third").items())
    assert not any(word.encode() in third for word in words)
    assert run(folder, "export", "--config", "third.yaml") == exported
