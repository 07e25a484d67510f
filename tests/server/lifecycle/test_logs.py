"""What a running server writes down, and what it never does."""

import json

import httpx
import pytest
from httpx_sse import connect_sse

from eventstream.testing.process import ServerProcess, wait_for

SECRET = "cGxhbnRlZC1zZWNyZXQtcGxhbnRlZC1zZWNyZXQ="  # base64 of a text; the key of the shop
CONFIG = """
version: 1
server:
  cors: {{origins: ["https://good.example"]}}
  log: {{level: {level}, format: json, max_size: {size}, keep: 50{file}}}
store: {{sqlite: {{path: data/events.db}}}}
keys:
  shop: {{standard-webhooks: "${{env:SHOP_KEY}}"}}
pipelines:
  - name: signed
    match: {{type: "signed.*"}}
    steps: [{{verify: {{scheme: standard-webhooks, keys: [shop]}}}}, persist, fan_out]
  - name: limited
    match: {{type: "limited.*"}}
    steps: [{{limit: {{rate: 1/h, burst: 1}}}}, persist, fan_out]
  - name: default
    steps: [persist, fan_out]
outputs: [{{sse: {{path: /events, heartbeat: 1s}}}}]
"""


@pytest.fixture
def logging(serve):
    def start(level="info", size="10MiB", file="", **options):
        text = CONFIG.format(level=level, size=size, file=file)
        return serve(text, environ={"SHOP_KEY": f"whsec_{SECRET}"}, **options)

    return start


def test_normal_operation_leaves_no_line_for_a_request(logging):
    server = logging()
    with httpx.Client(base_url=server.url, timeout=10) as client:
        before = len(server.log().splitlines())
        for number in range(50):
            assert client.post("/events", json={"type": "t", "data": number}).status_code == 201
            assert client.post("/events", json={"type": 7}).status_code == 400
            assert client.get("/events?limit=1").status_code == 200
        with connect_sse(client, "GET", "/events?after=earliest") as source:
            frames = source.iter_sse()
            for _ in range(20):
                next(frames)
    assert server.log().splitlines()[before:] == []


def test_what_is_suspicious_is_logged_at_a_bounded_rate(logging):
    server = logging()
    statuses = set()
    with httpx.Client(base_url=server.url, timeout=10) as client:
        signed = {"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
        for number in range(40):
            statuses |= {
                client.post("/events", json={"type": "signed.x"}, headers=signed).status_code,
                client.post("/events", json={"type": "limited.x", "data": number}).status_code,
                client.get("/events", headers={"Origin": "https://evil.example"}).status_code,
                client.get("/events", headers={"Host": "evil.example"}).status_code,
            }
    assert statuses >= {401, 429, 403, 421}
    found = server.events("refused")
    for reason in ("signature", "quota", "origin", "host"):
        ours = [entry for entry in found if entry["reason"] == reason]
        assert 1 <= len(ours) <= 20  # ten for each of the two workers
        assert all(entry["client"] == "127.0.0.1" and entry["request_id"] for entry in ours)


def test_a_problem_its_headers_and_its_line_carry_one_request_id(logging):
    server = logging()
    for given in ("mine-1", None):
        headers = {"Origin": "https://evil.example"} | ({"X-Request-Id": given} if given else {})
        answer = httpx.get(f"{server.url}/events", headers=headers, timeout=10)
        ours = answer.headers["X-Request-Id"]
        assert given in (ours, None)
        assert answer.json()["instance"] == f"urn:request:{ours}"
        assert server.events("refused")[-1]["request_id"] == ours


def test_nothing_secret_is_logged(logging):
    server = logging(level="debug")
    planted = "PLANTED-IN-THE-REQUEST"
    headers = {
        "Authorization": f"Bearer {planted}", "Cookie": planted, "webhook-signature": f"v1,{planted}",
        "webhook-id": "1", "webhook-timestamp": "1", "X-Secret": planted,
    }  # fmt: skip
    bodies = [
        json.dumps({"type": "signed.x", "data": planted}), json.dumps({"type": "t", "data": planted}),
        json.dumps({"type": 1, "data": planted}), "{" + planted, json.dumps({"type": "t", planted: {"a": 1}}),
    ]  # fmt: skip
    for body in bodies:
        httpx.post(f"{server.url}/events", content=body, headers={"Content-Type": "application/json"} | headers)
        httpx.post(f"{server.url}/events?lastEventId={planted}", content=body, headers=headers)
    httpx.get(f"{server.url}/events", headers={"Last-Event-ID": planted} | headers, timeout=10)
    server.config.write_text(
        server.config.read_text().replace("whole", "x").replace("- name: default", "- nam: default")
    )
    server.signal(1)
    wait_for(lambda: server.events("reload_refused"), "the refused reload")
    server.stop()
    text = server.log()
    assert "worker_ready" in text
    assert planted not in text
    assert SECRET not in text
    assert "planted-secret" not in text


class InFile(ServerProcess):
    """A server whose log is in the file that its configuration names."""

    def __init__(self, config, file, **options):
        super().__init__(config, **options)
        self.file = file

    def log(self):
        files = sorted(self.file.parent.glob(f"{self.file.name}*"), key=lambda path: path.stat().st_mtime_ns)
        return "".join(path.read_text() for path in files if path.suffix != ".lock")


def test_all_processes_share_one_rotated_file(tmp_path):
    (tmp_path / "log").mkdir()
    config = tmp_path / "pipelines.yaml"
    config.write_text(CONFIG.format(level="debug", size="20kB", file=", file: log/es.log"))
    server = InFile(config, tmp_path / "log" / "es.log", environ={"SHOP_KEY": f"whsec_{SECRET}"}, workers=3)
    with server:
        for _ in range(100):
            assert httpx.get(f"{server.url}/events", headers={"Origin": "https://e.example"}).status_code == 403
        server.signal(1)
        wait_for(lambda: server.generation() == 2, "the reload")
        assert server.stop() == 0
    assert all(line.startswith("{") and line.endswith("}") for line in server.log().splitlines())
    entries = [json.loads(line) for line in server.log().splitlines()]
    assert len({entry["pid"] for entry in entries}) >= 7
    assert {"worker_ready", "drained", "generation_running"} <= {entry["event"] for entry in entries}
    assert server.log_file.read_text() == ""  # nothing on standard error
