"""Programs that judge what the server says: promtool, httplint, redocly."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

HTTPLINT = Path(sys.executable).with_name("httplint")


@pytest.fixture(scope="module")
def used(shared_server):
    """A server that has seen events, refusals and a subscriber."""
    url = shared_server.url
    httpx.post(f"{url}/events", json={"type": "seen", "data": 1})
    httpx.post(f"{url}/events", content=b"{", headers={"Content-Type": "application/json"})
    with httpx.stream("GET", f"{url}/events?after=earliest", headers={"Accept": "text/event-stream"}) as stream:
        next(stream.iter_lines())
    return shared_server


def test_promtool_finds_no_fault_in_the_metrics(used):
    answer = httpx.get(f"{used.url}/-/metrics")
    assert answer.status_code == 200
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=answer.content, capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


ORIGIN = "Origin: https://shop.example"
REQUESTS = {
    "page": ["/events"],
    "stream": ["/events?after=earliest", "-H", "Accept: text/event-stream"],
    "receipt": ["/events", "-H", "Content-Type: application/json", "-d", '{"type": "seen"}'],
    "problem": ["/events", "-H", "Content-Type: application/json", "-d", "{"],
    "other origin": ["/events", "-H", ORIGIN],
    "health": ["/-/health"],
    "metrics": ["/-/metrics"],
    "openapi": ["/openapi.json"],
    "root": ["/"],
    "not found": ["/nowhere"],
}
NO_FAULTS = {
    "receipt": "A new resource was created without its location being sent.",  # it is the target's: RFC 9110 15.3.2
    "problem": "The server didn't understand the request.",  # just so
}


@pytest.mark.parametrize("name", REQUESTS)
def test_httplint_finds_no_fault_in_heads(used, name):
    path, *options = REQUESTS[name]
    seconds = "1" if name == "stream" else "10"  # a stream does not end by itself
    got = subprocess.run(
        ["curl", "-si", "--max-time", seconds, *options, used.url + path], capture_output=True, timeout=30, check=False
    )
    assert got.stdout.startswith(b"HTTP/1.1 "), got
    done = subprocess.run([HTTPLINT], input=got.stdout, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    faults = [line.strip() for line in done.stdout.decode().splitlines() if "[BAD]" in line or "[WARN]" in line]
    faults = [fault for fault in faults if NO_FAULTS.get(name, "never said") not in fault]
    assert faults == [], got.stdout.decode()


def test_redocly_finds_no_fault_in_the_openapi_document(used, node, tmp_path):
    document = httpx.get(f"{used.url}/openapi.json").json()
    assert "/events" in document["paths"]
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document))
    command = [node / "node_modules/.bin/redocly", "lint", "--extends=spec", "--format=json", file]
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "REDOCLY_TELEMETRY": "off"}
    environ["REDOCLY_SUPPRESS_UPDATE_NOTICE"] = "true"
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
