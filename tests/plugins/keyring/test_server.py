"""The keyring in a running server, changed by the command, seen from outside."""

import base64
import json
import signal
import sqlite3
import subprocess
import sys
import time

import httpx
import pytest
from keyring_folder import MASTER, PATH

from eventstream.testing.keyring_contract import make_key
from eventstream.testing.process import ServerProcess, wait_for
from eventstream_plugins.keyring.master import write_master

CONFIG = """
version: 1
server: {drain: 1s}
store: {sqlite: {path: data/events.db}}
keyring: {file: {path: keys/keyring.json, master_file: keys/master.key}}
pipelines: [{name: default, steps: [persist, fan_out]}]
outputs: [{sse: {path: /events}}]
routes: [jwks]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pipelines.yaml").write_text(CONFIG)
    write_master(tmp_path / MASTER)
    return tmp_path


@pytest.fixture
def server(folder):
    with ServerProcess(folder / "pipelines.yaml", workers=3) as running:
        yield running


def keys(folder, *words):
    command = [sys.executable, "-m", "eventstream", "keys", *words, "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def shown(server):
    """Ask often enough to meet every worker; return what each answer showed."""
    with httpx.Client() as client:
        answers = [
            client.get(f"{server.url}/.well-known/jwks.json", headers={"connection": "close"}) for _ in range(24)
        ]
    assert {answer.status_code for answer in answers} == {200}
    return {tuple(key["kid"] for key in answer.json()["keys"]) for answer in answers}


def test_made_rotated_and_revoked_beside_a_running_server(folder, server):
    assert shown(server) == {()}
    first = keys(folder, "new", "ed25519", "--owner", "server", "--purpose", "sign")["kid"]
    wait_for(lambda: shown(server) == {(first,)}, "the new key", seconds=3)
    second = keys(folder, "rotate", "server")["new"][0]["kid"]
    wait_for(lambda: shown(server) == {(second, first)}, "both keys", seconds=3)
    before = time.monotonic()
    keys(folder, "revoke", first)
    returned = time.monotonic()
    wait_for(lambda: shown(server) == {(second,)}, "the revocation at every worker", seconds=3)
    assert time.monotonic() - returned < 1 + (returned - before)  # the promise is one second, from the write on

    # One line for each change, by whichever worker was first; and the ledger knows, so that streams end.
    lines = [(line["kid"], line["state"]) for line in server.events("key_changed")]
    assert sorted(set(lines)) == sorted(lines)
    assert (first, "revoked") in lines
    wait_for(lambda: revoked(folder) == {f"revoked/key:{first}"}, "the ledger")
    assert "private" not in str(server.events("key_changed"))


def revoked(folder):
    with sqlite3.connect(folder / "data" / "events.db-ledger.db") as connection:
        return {key for (key,) in connection.execute("SELECT key FROM facts WHERE key LIKE 'revoked/%'")}


def test_what_was_revoked_while_no_server_ran_is_told_at_the_start(folder):
    kid = keys(folder, "new", "api-key", "--owner", "ops")["kid"]
    keys(folder, "revoke", kid)
    with ServerProcess(folder / "pipelines.yaml", workers=1):
        wait_for(lambda: revoked(folder) == {f"revoked/key:{kid}"}, "the ledger")


def test_a_broken_file_changes_nothing_and_its_end_is_seen(folder, server):
    kid = keys(folder, "new", "ed25519", "--owner", "server")["kid"]
    wait_for(lambda: shown(server) == {(kid,)}, "the new key", seconds=3)
    whole = (folder / PATH).read_bytes()
    (folder / PATH).write_bytes(whole[:200])
    wait_for(lambda: server.log().count("known keys stay") == 3, "each worker's word", seconds=5)
    assert shown(server) == {(kid,)}
    (folder / PATH).write_bytes(whole)
    wait_for(lambda: server.log().count("can be read again") == 3, "each worker's word", seconds=5)
    assert server.log().count("known keys stay") == 3


@pytest.mark.parametrize("break_", ["lost", "wrong", "open"])
def test_no_server_starts_without_the_right_master_key(folder, break_):
    keys(folder, "new", "ed25519", "--owner", "server")
    master = folder / MASTER
    if break_ == "open":
        master.chmod(0o644)
    else:
        master.unlink()
    if break_ == "wrong":
        write_master(master)
    command = [sys.executable, "-m", "eventstream", "serve", str(folder / "pipelines.yaml"), "--bind", "127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0
    told = {
        "lost": "the master key file does not exist",
        "wrong": "sealed under another master key",
        "open": "chmod 600",
    }
    assert told[break_] in done.stdout + done.stderr


def test_planted_secrets_turn_up_nowhere(folder, server):
    key = make_key("planted", private=b"planted-secret-of-the-shop")
    words = [sys.executable, "-m", "eventstream", "keys", "import", "--owner", "shop", "--kind", "hmac"]
    text = base64.b64encode(key.private).decode()
    subprocess.run(words, cwd=folder, input=text, text=True, check=True, capture_output=True, timeout=60)
    master = (folder / MASTER).read_text().strip()
    wait_for(lambda: server.events("key_changed"), "the change to be seen")
    server.signal(signal.SIGHUP)
    wait_for(lambda: server.generation() == 2, "the reload")
    seen = [server.log(), httpx.get(f"{server.url}/-/metrics").text, httpx.get(f"{server.url}/-/config").text]
    seen += [file.read_bytes().decode("latin-1") for file in (folder / "data").rglob("*") if file.is_file()]
    seen.append((folder / PATH).read_text())
    for secret in (text, key.private.decode(), key.private.hex(), master):
        assert not any(secret in one for one in seen)
