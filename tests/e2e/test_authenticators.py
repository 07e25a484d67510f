"""Keys that are made, rotated and revoked by the command line, and what callers who are known by them then meet."""

import base64
import json
import os
import re
import subprocess
import sys
import time
from datetime import datetime

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from httpx_sse import connect_sse
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from eventstream.testing.process import wait_for

CONFIG = """
version: 1
server: {workers: 2}
store:
  sqlite: {path: data/events.db}
keyring:
  file: {master: "${env:EVENTSTREAM_MASTER_KEY}"}
auth:
  chain:
    - api-key
    - jwt: {keys: [idp], audience: [events]}
    - ticket
  grants:
    - {to: shop, publish: {type: "shop.*"}, subscribe: {type: "shop.*"}}
pipelines:
  - name: all
    steps: [persist, fan_out]
outputs:
  - sse: {heartbeat: 1s}
  - websocket: {path: /events/ws}
routes: [tickets]
"""
MASTER = {"EVENTSTREAM_MASTER_KEY": base64.b64encode(bytes(range(32))).decode()}


class Site:
    """A configuration, its keyring, and a server."""

    def __init__(self, folder, serve):
        self.folder = folder
        (folder / "pipelines.yaml").write_text(CONFIG)
        self.server = None
        self._serve = serve

    def run(self, *words, stdin=""):
        command = [sys.executable, "-m", "eventstream", *words]
        environ = {**os.environ, **MASTER}
        done = subprocess.run(
            command, cwd=self.folder, env=environ, input=stdin, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self):
        self.server = self._serve(CONFIG, environ=MASTER)
        return self.server

    def new_api_key(self, *words):
        """Return the id and the text of a new API key of shop."""
        (text,) = re.findall(r"esk_\S+", self.run("keys", "new", "api-key", "--owner", "shop", *words))
        return text.split("_")[1], text


@pytest.fixture
def site(tmp_path, serve):
    return Site(tmp_path, serve)


def publish(server, **headers):
    return httpx.post(f"{server.url}/events", json={"type": "shop.order"}, headers=headers).status_code


def test_an_api_key_from_its_making_to_its_end(site):
    old_id, old = site.new_api_key()
    server = site.start()
    assert publish(server, **{"X-API-Key": old}) == 201
    _, new = site.new_api_key()
    wait_for(lambda: publish(server, **{"X-API-Key": new}) == 201, "the new key to count", seconds=2)
    assert publish(server, **{"X-API-Key": old}) == 201, "both count while it rotates"
    with (
        httpx.Client(base_url=server.url, timeout=10, headers={"X-API-Key": old}) as client,
        connect_sse(client, "GET", "/events?type=shop.*") as source,
    ):
        frames = source.iter_sse()
        assert next(frames).event == "cursor"
        site.run("keys", "revoke", old_id)
        began = time.monotonic()
        last = list(frames)[-1]
    assert (last.event, last.json()) == ("goodbye", {"reason": "revoked"})
    assert time.monotonic() - began < 1.5
    assert {publish(server, **{"X-API-Key": old}) for _ in range(8)} == {401}
    assert publish(server, **{"X-API-Key": new}) == 201
    log = server.log()
    assert old not in log
    assert f"api-key: key {old_id} is revoked" in log


def test_a_key_that_expires_ends_its_streams_in_that_second(site):
    server = site.start()
    made = json.loads(site.run("keys", "new", "api-key", "--owner", "shop", "--expires", "8s", "--json"))
    text, expires = made["key"], datetime.fromisoformat(made["expires"]).timestamp()
    wait_for(lambda: {publish(server, **{"X-API-Key": text}) for _ in range(8)} == {201}, "both workers to know it")
    with (
        httpx.Client(base_url=server.url, timeout=10, headers={"X-API-Key": text}) as client,
        connect_sse(client, "GET", "/events?type=shop.*") as source,
    ):
        last = list(source.iter_sse())[-1]
    assert (last.event, last.json()) == ("goodbye", {"reason": "expired"})
    assert expires <= time.time() < expires + 1.5
    assert publish(server, **{"X-API-Key": text}) == 401


def test_a_token_by_a_key_of_ours(site):
    private = Ed25519PrivateKey.generate()
    public = base64.b64encode(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    words = ("--owner", "idp", "--purpose", "token", "--kid", "idp-1", "--kind", "ed25519")
    server = site.start()
    claims = {"sub": "shop", "aud": "events", "exp": int(time.time()) + 60, "jti": "t-1"}
    token = {"Authorization": f"Bearer {jwt.encode(claims, private, 'EdDSA', {'kid': 'idp-1'})}"}
    assert publish(server, **token) == 401, "nobody has that key yet"
    site.run("keys", "import", *words, stdin=public)
    wait_for(lambda: publish(server, **token) == 201, "the key to count", seconds=2)
    other = {"Authorization": f"Bearer {jwt.encode({**claims, 'jti': 't-2'}, private, 'EdDSA', {'kid': 'idp-1'})}"}
    site.run("revoke", "token:t-1")
    wait_for(lambda: {publish(server, **token) for _ in range(8)} == {401}, "the token to end", seconds=2)
    assert publish(server, **other) == 201
    site.run("keys", "revoke", "idp-1")
    wait_for(lambda: {publish(server, **other) for _ in range(8)} == {401}, "the key to end", seconds=2)


# -- WebSocket -------------------------------------------------------------------------------------


def ask(server, key, body=None):
    return httpx.post(f"{server.url}/tickets", json=body, headers={"X-API-Key": key})


def web_socket(server, query="", **headers):
    url = f"ws://127.0.0.1:{server.port}/events/ws{query}"
    return connect(url, subprotocols=["eventstream.v1"], additional_headers=headers, open_timeout=5)


def say(socket, **message):
    socket.send(json.dumps(message))


def hear(socket, op):
    """Return the next message with this op; what comes before is passed over."""
    while (message := json.loads(socket.recv(timeout=5)))["op"] != op:
        pass
    return message


def test_web_sockets_by_ticket_and_by_cookie(site):
    server = site.start()
    _, key = site.new_api_key()
    wait_for(lambda: publish(server, **{"X-API-Key": key}) == 201, "the key to count")
    ticket = ask(server, key).json()["ticket"]
    cookie = ask(server, key, {"cookie": True}).headers["Set-Cookie"].partition(";")[0]
    with web_socket(server, f"?ticket={ticket}") as one, web_socket(server, Cookie=cookie) as other:
        for socket in (one, other):
            say(socket, op="subscribe", id="s", type=["shop.*"])
            hear(socket, "cursor")
        say(other, op="publish", id="p", event={"type": "shop.order"})
        assert hear(other, "receipt")["results"][0]["problem"]["status"] == 403, "a cookie only reads"
        say(one, op="publish", id="p", event={"type": "shop.order"})
        assert "cursor" in hear(one, "receipt")["results"][0]
        assert hear(one, "event")["event"] == hear(other, "event")["event"]
        httpx.delete(f"{server.url}/tickets", headers={"Cookie": cookie})
        with pytest.raises(ConnectionClosed) as caught:
            hear(other, "nothing")
        assert caught.value.rcvd.code == 1008
        assert "revoked" in caught.value.rcvd.reason
        say(one, op="publish", id="q", event={"type": "shop.order"})
        assert "cursor" in hear(one, "receipt")["results"][0]
    for query, headers in ((f"?ticket={ticket}", {}), ("", {"Cookie": cookie}), ("?ticket=x", {})):
        with pytest.raises(InvalidStatus) as refused:
            web_socket(server, query, **headers)
        assert refused.value.response.status_code == 401
