"""Ed25519-signed ingest beside the same requests unsigned: `python bench/signed.py [seconds] [rounds]`. Needs wrk.

Each request carries one event and one signature; it is validated and durable. The same requests go, in turn, to a
pipeline that verifies and to one that does not. The goal: at least 70 % of what the unsigned pipeline would reach
if nothing but the bare verification came on top. Told by the rate, and by the worker's CPU time for a request, which
other programs on the machine disturb less: rates and CPU are those of the best round, what the rate reached is the
median over the rounds.
"""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rfc8785
from nacl.signing import SigningKey

from eventstream.testing.process import ServerProcess

KEY = SigningKey(bytes(range(32)))
PUBLIC = base64.b64encode(bytes(KEY.verify_key)).decode()
SCHEMA = {
    "type": "object",
    "properties": {"order": {"type": "string"}, "total": {"type": "number"}, "lines": {"type": "array"}},
    "required": ["order", "total"],
}
CONFIG = """
version: 1
server: {workers: 1}
store:
  sqlite: {path: data/events.db, durability: fsync}
keys:
  shop: {ed25519: "KEY"}
pipelines:
  - name: orders
    steps:
VERIFY
      - validate: {schema: order.json}
      - persist
      - fan_out
outputs:
  - sse
"""
WRK = """
local requests, at = {}, 0
function init(arguments)
  local file = io.open(arguments[1], "rb")
  for request in file:read("*a"):gmatch("([^%z]+)%z") do requests[#requests + 1] = request end
  file:close()
end
function request()
  at = at + 1
  return requests[at] or error("too few requests were signed")
end
"""
CONNECTIONS = 64
STRUCTURED = "application/cloudevents+json"

Signed = tuple[dict[str, str], bytes, bytes]  # headers, body, what the signature is over


def sign(message: bytes) -> str:
    return base64.b64encode(KEY.sign(message).signature).decode()


def event(number: int) -> dict[str, Any]:
    data = {"order": f"A-{number}", "total": 12.5, "lines": [{"sku": f"sku-{n}", "count": n} for n in range(5)]}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"specversion": "1.0", "id": str(number), "source": "/shop", "type": "order", "time": now, "data": data}


def webhook(number: int) -> Signed:
    body = json.dumps(event(number)).encode()
    seconds = str(int(time.time()))
    message = f"msg_{number}.{seconds}.".encode() + body
    names = {"webhook-id": f"msg_{number}", "webhook-timestamp": seconds, "webhook-signature": f"v1a,{sign(message)}"}
    return names, body, message


def message(number: int) -> Signed:
    body = json.dumps(event(number)).encode()
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    inner = '("@method" "@path" "content-digest" "content-type")'
    inner += f';created={int(time.time())};keyid="shop";nonce="n{number}"'
    values = f'"@method": POST\n"@path": /events\n"content-digest": {digest}\n"content-type": {STRUCTURED}'
    base = f'{values}\n"@signature-params": {inner}'.encode()
    signature = {"Signature-Input": f"s={inner}", "Signature": f"s=:{sign(base)}:"}
    return {"Content-Digest": digest, **signature}, body, base


def inside(number: int) -> Signed:
    given = event(number)
    form = rfc8785.dumps(given)
    return {}, json.dumps({**given, "signature": sign(form), "signaturekey": "shop"}).encode(), form


SCHEMES: dict[str, Callable[[int], Signed]] = {
    "standard-webhooks": webhook,
    "message-signatures": message,
    "ed25519": inside,
}


def on_the_wire(headers: dict[str, str], body: bytes) -> bytes:
    lines = ["POST /events HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {STRUCTURED}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def bare_cost(message: bytes, count: int = 2000) -> float:
    """Seconds that one verification of this message takes, nothing around it."""
    signature = KEY.sign(message).signature
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        for _ in range(count):
            KEY.verify_key.verify(message, signature)
        best = min(best, (time.process_time() - began) / count)
    return best


def serve(folder: Path, scheme: str | None) -> ServerProcess:
    """A server of one worker; the other core is the generator's."""
    folder.mkdir()
    (folder / "order.json").write_text(json.dumps(SCHEMA))
    step = f"      - verify: {{scheme: {scheme}, keys: [shop], tolerance: 1h}}" if scheme else ""
    (folder / "pipelines.yaml").write_text(CONFIG.replace("KEY", PUBLIC).replace("VERIFY\n", f"{step}\n"))
    return ServerProcess(folder / "pipelines.yaml", workers=1)


def cpu_of(server: ServerProcess) -> float:
    """CPU seconds that the server's workers have used."""
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in server.workers()]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")


def load(server: ServerProcess, folder: Path, requests: list[bytes], seconds: float) -> tuple[float, float]:
    """Seconds for one request: on the clock, and of the worker's CPU."""
    (folder / "requests").write_bytes(b"".join(request + b"\0" for request in requests))
    (folder / "wrk.lua").write_text(WRK)
    words = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(folder / "wrk.lua"), f"{server.url}/events"]
    words += ["--", str(folder / "requests")]
    began = cpu_of(server)
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 60, check=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise SystemExit(done.stdout)
    (count,), (rate,) = (re.findall(word, done.stdout) for word in (r"(\d+) requests in", r"Requests/sec:\s+([\d.]+)"))
    return 1 / float(rate), (cpu_of(server) - began) / int(count)


def main(seconds: int = 3, rounds: int = 5, most: int = 6000) -> None:
    print(f"{'scheme':20}{'unsigned/s':>12}{'signed/s':>12}{'bare us':>10}{'reached':>9}", end="")
    print(f"{'unsigned CPU':>14}{'signed CPU':>12}{'reached':>9}")
    for name, make in SCHEMES.items():
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            with serve(folder / "unsigned", None) as plain, serve(folder / "signed", name) as verifying:
                unsigned, signed = [], []
                for turn in range(rounds):
                    made = [make(turn * seconds * most + n) for n in range(seconds * most)]
                    requests = [on_the_wire(headers, body) for headers, body, _ in made]
                    unsigned.append(load(plain, folder, requests, seconds))
                    signed.append(load(verifying, folder, requests, seconds))
        bare = bare_cost(made[0][2])
        shares = sorted((before + bare) / after for (before, _), (after, _) in zip(unsigned, signed, strict=True))
        cpu, signed_cpu = (min(cpu for _, cpu in one) for one in (unsigned, signed))
        clock, signed_clock = (min(clock for clock, _ in one) for one in (unsigned, signed))
        row = f"{name:20}{1 / clock:12.0f}{1 / signed_clock:12.0f}{bare * 1e6:10.1f}{shares[rounds // 2]:9.0%}"
        print(f"{row}{cpu * 1e6:14.0f}{signed_cpu * 1e6:12.0f}{(cpu + bare) / signed_cpu:9.0%}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
