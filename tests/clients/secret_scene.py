"""A server with everything configured and a secret planted wherever one can be, used well and badly."""

import base64
import hashlib
import hmac
import io
import json
import secrets
import signal
import sys
import time
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import httpx
import jwt
import pytest
from clients.planted import Planted

from eventstream.cli.main import main
from eventstream.config.report import FORMATS
from eventstream.testing.process import wait_for
from eventstream.testing.raw_http import RawClient

CONFIG = """
version: 1
server:
  drain: 1s
  cors: {origins: ["https://shop.example"], paths: [/events, /crypto, /tickets]}
  timeouts: {head: 2s, body: 2s}
  metrics: {public: false}
  log: {level: debug}
  audit: {file: audit.log, rate: 1000/s}
store:
  sqlite: {path: data/events.db}
  at_rest: {key: disk}
  chain: {}
keys:
  hook: {standard-webhooks: "${env:HOOK}"}
  hub: {text: "${file:github.secret}"}
  idp: {hmac: "${env:IDP}"}
  shared: {secret: "${env:SHARED}"}
  inline: {standard-webhooks: "%(inline)s"}
keyring:
  file: {path: keys/keyring.json, master: "${env:MASTER}"}
auth:
  chain:
    - jwt: {keys: [idp], algorithms: [HS256], audience: [events]}
    - api-key
    - ticket
  grants:
    - {to: [page, ann], publish: true, subscribe: true, crypto: true, admin: true}
    - {to: [hook, inline, hub], publish: true}
    - {to: guest, subscribe: {type: "public.*"}}
pipelines:
  - {name: hooks, match: {type: "hook.*"}, steps: [verify: {keys: [hook, inline]}, persist, fan_out]}
  - {name: github, match: {type: "com.github.*"}, steps: [verify: {scheme: github, keys: [hub]}, persist]}
  - {name: messages, match: {type: "message.*"}, steps: [verify: {scheme: message-signatures, keys: [hub]}, persist]}
  - name: letters
    match: {type: "letter.*"}
    steps: [encrypt: {to: [reader, shared]}, sign: {key: server}, persist, fan_out]
  - {name: open, match: {type: "open.*"}, steps: [decrypt: {keys: [reader, shared]}, persist, fan_out]}
  - {name: shaped, match: {type: "shaped.*"}, steps: [validate: {schema: shape.json}, persist, fan_out]}
  - {name: default, steps: [limit: {rate: 1000/s, burst: 10000}, persist, fan_out]}
outputs:
  - sse
  - websocket: {path: /events/ws}
routes:
  - crypto: {private_keys: return, use: ["*"], keep: [kept], register: [reader]}
  - tickets
  - jwks
"""
SHAPE = {
    "type": "object",
    "properties": {"text": {"type": "integer"}, "list": {"enum": [1]}, "name": {"pattern": "^a$", "maxLength": 3}},
    "additionalProperties": False,
}
BROKEN = """
keys:
  a: {standard-webhooks: "whsec_%(text)s"}
  b: {standard-webhooks: "%(text)s"}
  c: {secret: "%(text)s"}
  d: {hmac: "!%(text)s"}
  e: {api-key: "%(text)s"}
  f: {standard-webhooks: "whsk_%(text)s"}
  g: "%(text)s"
  h: {secret: ["%(text)s", {"%(text)s": 1}]}
  i: {text: "%(text)s", more: "%(text)s"}
"""
JSON = {"Content-Type": "application/json"}
OWN = ("health", "ready", "metrics", "config")
TICKET = "/events?type=letter.*&ticket="
NAMES = {"operation", "owner", "kid", "expires"}  # whose values a refusal may repeat: they are no secrets


class Scene:
    """A server with everything configured, its secrets, and what it has said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.planted = Planted()
        self.own = [folder / "pipelines.yaml", folder / "github.secret"]  # in which we wrote secrets ourselves
        self.client = httpx.Client(timeout=20)
        self.said: dict[str, bytes] = {}  # what was said aloud: refusals, public pages, output of commands
        raw = {name: secrets.token_bytes(32) for name in ("HOOK", "INLINE", "IDP", "SHARED", "MASTER")}
        self.hub = secrets.token_hex(20)
        self.idp = raw["IDP"]
        self.hook = raw["HOOK"]
        for name, secret in [*raw.items(), ("github", self.hub)]:
            self.planted.plant(name, secret)
        texts = {name: base64.b64encode(secret).decode() for name, secret in raw.items()}
        texts["HOOK"] = f"whsec_{texts['HOOK']}"
        self.environ = texts
        (folder / "github.secret").write_text(self.hub)
        (folder / "shape.json").write_text(json.dumps(SHAPE))
        (folder / "pipelines.yaml").write_text(CONFIG % {"inline": f"whsec_{texts['INLINE']}"})

    def run(self, *words: str, status: int | None = 0, stdin: str = "", aloud: bool = True) -> str:
        """Run a command of the program in this process; what it prints is said aloud."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.folder)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            for name, text in self.environ.items():
                patch.setenv(name, text)
            done = main(words)
        assert status in (None, done), out.getvalue() + err.getvalue()
        self.say(" ".join(words), err.getvalue())
        if aloud:
            self.say(" ".join(words), out.getvalue())
        return out.getvalue()

    def say(self, what: str, text: bytes | str) -> None:
        self.said[f"{len(self.said)}: {what[:80]}"] = text.encode() if isinstance(text, str) else text

    def secret(self, name: str) -> str:
        """A new text that nobody may see again."""
        text = secrets.token_hex(20)
        self.planted.plant(name, text)
        return text

    # -- requests ------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, *, status: int | None = None, **options) -> httpx.Response:
        """Ask the server. A refusal is said aloud, and so is every head but for the cookie that it sets."""
        self.client.cookies.clear()
        answer = self.client.request(method, self.server.url + path, **options)
        what = f"{method} {path}"
        assert answer.status_code != 500, answer.text
        assert status in (None, answer.status_code), f"{what}: {answer.status_code} {answer.text}"
        self.say(f"head of {what}", str([pair for pair in answer.headers.multi_items() if pair[0] != "set-cookie"]))
        if answer.status_code >= 400:
            self.say(f"{answer.status_code} to {what}", answer.content)
        return answer

    def bearer(self, text: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {text}"}

    def crypto(self, **fields) -> dict:
        """The reply of /crypto, also when this machine has no memory for a hash at first."""

        def ask():
            answer = self.ask("POST", "/crypto", json=fields, headers=self.bearer(self.key))
            return answer.status_code == 200 and answer.json()

        return wait_for(ask, f"{fields['operation']} to be done")

    def publish(self, type: str, data: object, status: int | None = 201, **headers: str) -> httpx.Response:
        headers = headers or self.bearer(self.key)
        return self.ask("POST", "/events", json={"type": type, "data": data}, headers=headers, status=status)

    def token(self, **claims) -> str:
        now = int(time.time())
        token = jwt.encode({"sub": "ann", "aud": "events", "exp": now + 600, **claims}, self.idp, "HS256")
        self.planted.plant("token", token.rpartition(".")[2])
        return token

    def ticket(self) -> str:
        ticket = self.ask("POST", "/tickets", headers=self.bearer(self.key), status=201).json()["ticket"]
        self.planted.plant("ticket", ticket)
        return ticket

    def raw(self, *lines: str, tail: str = "", until: bytes | None = None) -> None:
        """Send a head as it stands; all that comes until the server closes (or until these bytes) is said aloud."""
        with RawClient(self.server.port, seconds=10) as client:
            client.send("\r\n".join([*lines, "Connection: close", "", tail]).encode())
            with suppress(ConnectionError):  # it closes while we still send
                self.say(f"raw {lines[0]}", client.read_to_end() if until is None else client.read_until(until))

    # -- what is done --------------------------------------------------------------------------------

    def make_keys(self) -> None:
        private = secrets.token_bytes(32)
        self.planted.plant("imported", private)
        self.run(
            "keys", "import", "--owner", "mine", "--kind", "secret", "--private",
            stdin=base64.b64encode(private).decode(),
        )  # fmt: skip
        for kind, owner, purpose in [
            ("secret", "disk", "at-rest"), ("ed25519", "server", "sign"), ("curve25519", "reader", "seal"),
            ("hmac", "some", ""), ("curve25519", "kept", ""),
        ]:  # fmt: skip
            made = self.run("keys", "new", kind, "--owner", owner, "--purpose", purpose, "--json")
            exported = self.run("keys", "export", "--private", "--format", "raw", json.loads(made)["kid"], aloud=False)
            self.planted.plant(f"{kind} of {owner}", base64.b64decode(exported))
        made = json.loads(self.run("keys", "new", "api-key", "--owner", "page", "--json", aloud=False))
        self.key = made["key"]
        self.planted.plant("API key", self.key.split("_", 2)[2])

    def use_well(self) -> None:
        self.publish("stored.note", {"text": self.secret("data at rest")})
        self.publish("letter.sent", {"text": self.secret("sealed data")})
        self.publish("token.note", 1, **self.bearer(self.token()))
        body = json.dumps({"type": "hook.sent", "data": {"text": self.secret("data of a webhook")}}).encode()
        self.ask("POST", "/events", content=body, headers=self.webhook(body), status=201)
        signature = hmac.new(self.hub.encode(), body, hashlib.sha256).hexdigest()
        github = {"X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={signature}"}
        self.ask("POST", "/events", content=body, headers=JSON | github, status=201)
        stream = f"/events?type=letter.*&after=earliest&ticket={self.ticket()}"
        self.raw(f"GET {stream} HTTP/1.1", "Host: localhost", "Accept: text/event-stream", until=b'data: {"spec')
        self.ask("GET", stream, status=401)  # it is used up
        answer = self.ask("POST", "/tickets", json={"cookie": True}, headers=self.bearer(self.key), status=201)
        self.cookie = answer.headers["set-cookie"].partition(";")[0]
        self.planted.plant("cookie", self.cookie.partition("=")[2])
        self.ask("GET", "/events?type=letter.*", headers={"Cookie": self.cookie}, status=200)
        for kind in ("secret", "ed25519", "curve25519"):
            made = self.crypto(operation="generate_key", kind=kind)
            self.planted.plant(f"generated {kind}", base64.b64decode(made.get("private_key") or made["key"])[:32])
        self.crypto(operation="generate_key", kind="ed25519", keep={"owner": "kept"})
        made = self.crypto(operation="password_hash", password=self.secret("password"))
        self.planted.plant("password's hash", made["hash"].rpartition("$")[2])
        self.crypto(operation="password_verify", hash=made["hash"], password=self.secret("wrong password"))

    def webhook(self, body: bytes) -> dict[str, str]:
        ident, now = secrets.token_hex(8), str(int(time.time()))
        mac = hmac.new(self.hook, f"{ident}.{now}.".encode() + body, hashlib.sha256).digest()
        signature = f"v1,{base64.b64encode(mac).decode()}"
        return JSON | {"webhook-id": ident, "webhook-timestamp": now, "webhook-signature": signature}

    def use_badly(self) -> None:
        bad = [self.key + "x", f"esk_page_{self.secret('wrong API key')}", self.token()[:-2], self.token(aud="x")]
        bad += [self.token(exp=1), self.secret("no token at all"), f"{self.token()}, Bearer {self.key}", self.ticket()]
        for credential in bad:
            for headers in (
                self.bearer(credential), {"X-API-Key": credential}, {"Authorization": credential},
                {"Authorization": f"Basic {base64.b64encode(credential.encode()).decode()}"},
                {"Cookie": f"eventstream-session={credential}"},
            ):  # fmt: skip
                for path in ("/events", "/crypto", "/tickets"):
                    self.ask("POST", path, headers=JSON | headers, content=b"{}")
                self.ask("GET", "/-/config", headers=headers)
            referer = {"Referer": f"http://x/?ticket={credential}"}
            for name in ("ticket", "access_token", "key", "filter", "after"):
                for path in ("/events", "/events/ws", "/nothing", "/-/metrics", "/-/config", "/tickets"):
                    self.ask("GET", f"{path}?{name}={credential.partition(',')[0]}", headers=referer)
        self.ask("GET", "/events", headers={"Cookie": f"{self.cookie}; {self.cookie}x"}, status=401)
        self.ask("GET", f"/events?type=x&ticket={self.ticket()}", headers={"Host": "evil.example"}, status=421)
        self.ask("GET", f"/events?type=x&ticket={self.ticket()}", headers={"Origin": "https://evil.example"})
        self.refuse_events()
        self.break_heads()

    def refuse_events(self) -> None:
        text = self.secret("data that is refused")
        for data in ({"text": text}, {"list": text}, {"name": text}, text, [text]):
            self.publish("shaped.note", data, 422)
        for data in ({"eventstream-envelope": 1, "ciphertext": text}, {"eventstream-envelope": text}, text):
            self.publish("open.note", data, 422)
        self.publish("hook.note", text, 401)
        body = json.dumps({"type": "hook.sent", "data": text}).encode()
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
            self.ask("POST", "/events", content=body, headers=self.webhook(body) | {name: f"v1,{text}"}, status=401)
        for name in ("x-hub-signature-256", "x-github-event", "signature", "signature-input", "content-digest"):
            self.ask("POST", "/events", content=body, headers=JSON | self.bearer(self.key) | {name: text})
        beginning = '{"type": "x", "data": '
        for content in (f'{beginning}"{text}', f"{beginning}{text}}}", f'"{text}"', text, f"[{text}]"):
            for path in ("/events", "/crypto", "/tickets"):
                self.ask("POST", path, content=content, headers=JSON | self.bearer(self.key))
        headers = self.bearer(self.key) | {"Content-Type": "text/plain"}
        self.ask("POST", "/events", content=text, headers=headers, status=415)

    def break_heads(self) -> None:
        """Requests that do not even parse."""
        for secret in (self.key, self.token(), self.ticket(), self.cookie):
            credential = f"Authorization: Bearer {secret}"
            host = "Host: localhost"
            for line in (f"GET {TICKET}{secret} HTTP/9.9", f"GET {TICKET}{secret}", f"G@T {TICKET}{secret} HTTP/1.1"):
                self.raw(line, host)
            for headers in (
                [host, credential.replace(":", " :", 1)],
                [host, f" {credential}"],
                [host, secret],
                [host, credential, credential],
                [host, f"X-API-Key: {secret}\x01"],
                [f"Host: {secret}", credential],
                [host, credential, "Upgrade: websocket", f"Sec-WebSocket-Protocol: {secret}"],
            ):
                self.raw("GET /events/ws HTTP/1.1", *headers)
            two = "Content-Length: 5\r\nContent-Length: 6"
            for length in (two, "Transfer-Encoding: chunked", f"Content-Length: {secret}"):
                self.raw("POST /events HTTP/1.1", host, credential, length, tail=secret)
        self.raw(f"GET /events?ticket={self.key * 500} HTTP/1.1", "Host: localhost")

    def misuse_crypto(self) -> None:
        """Each operation, with a secret in each of its fields in turn."""
        schemas = self.ask("GET", "/openapi.json", status=200).json()["components"]["schemas"]
        operations = schemas["crypto.Request"]["discriminator"]["mapping"]
        assert len(operations) > 10
        requests = []
        for operation, ref in operations.items():
            fields = [name for name in schemas[ref.rpartition("/")[2]]["properties"] if name not in NAMES]
            text = self.secret(f"field of {operation}")
            encoded = base64.b64encode(text.encode()).decode()
            for value in (text, f"{text}!", encoded, [text]):
                requests.append({"operation": operation} | dict.fromkeys(fields, value))
                requests += [{"operation": operation, name: value} for name in fields]
            requests += [{"operation": [text]}, text]
        for begin in range(0, len(requests), 100):
            some = requests[begin : begin + 100]
            answer = self.ask("POST", "/crypto", json=some, headers=self.bearer(self.key), status=200)
            self.say("refusals of /crypto", json.dumps([one for one in answer.json()["results"] if "problem" in one]))
        for request in requests[::50]:
            self.ask("POST", "/crypto", json=request, headers=self.bearer(self.key))

    def ask_openly(self) -> None:
        """What everybody, or an administrator, may read."""
        for path in ("/", "/openapi.json", "/.well-known/jwks.json", *(f"/-/{name}" for name in OWN)):
            self.say(path, self.ask("GET", path, headers=self.bearer(self.key), status=200).content)

    def command(self) -> None:
        kids = [key["kid"] for key in json.loads(self.run("keys", "list", "--json"))]
        assert len(kids) > 6
        self.run("keys", "list")
        for kid in kids:
            self.run("keys", "show", kid)
            self.run("keys", "export", kid, status=None)
        self.run("list")
        self.run("status")
        self.run("check")
        self.run("verify-log")
        self.run("backup", "backup.db")
        self.run("keys", "rotate", "server")
        self.run("keys", "revoke", next(kid for kid in kids if kid.startswith("kept")))
        text = self.secret("bad import")
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": "AA", "d": text}
        for kind, given in [
            ("secret", f"{text}!"), ("hmac", f"whsec_{text}!"), ("api-key", f"esk_x_{text}"), ("ed25519", text),
            ("ed25519", f"whsk_{text}"), ("ed25519", json.dumps(jwk)), ("ed25519", f'{{"kty": "{text}'),
        ]:  # fmt: skip
            self.run("keys", "import", "--owner", "x", "--kind", kind, "--private", stdin=given, status=1)

    def reload(self) -> None:
        """Once with a faulty file, in which secrets stand in wrong places, and once with a good one."""
        file = self.folder / "pipelines.yaml"
        good = file.read_text()
        file.write_text(good.replace("keys:\n", BROKEN % {"text": self.secret("faulty key")}, 1))
        self.server.signal(signal.SIGHUP)
        wait_for(lambda: len(self.server.events("reload_refused")) >= 9, "the refusal")
        self.say("/-/config", self.ask("GET", "/-/config", headers=self.bearer(self.key), status=200).content)
        for form in FORMATS:
            self.run("check", "--format", form, status=1)
        file.write_text(good)
        self.server.signal(signal.SIGHUP)
        wait_for(lambda: self.server.generation() == 2, "the next generation")

    def files(self) -> list[Path]:
        return [file for file in self.folder.rglob("*") if file.is_file() and file not in self.own]
