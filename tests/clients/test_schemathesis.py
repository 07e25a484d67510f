"""schemathesis makes requests from our own OpenAPI document and judges the replies by it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eventstream.testing.process import ServerProcess

HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
CONFIG = """
version: 1
store:
  sqlite: {path: events.db}
pipelines:
  - name: default
    steps: [persist, fan_out]
outputs:
  - sse: {path: /events, heartbeat: 1s}
  - websocket: {path: /events/ws}
routes:
  - crypto: {private_keys: return}
"""
# A long poll would only cost time: `wait` is tried for its bounds elsewhere. 422 is right for an
# Idempotency-Key that schemathesis uses again with other content, 413 for a batch that is too long.
SETTINGS = """
[parameters]
wait = 0

[checks.positive_data_acceptance]
expected-statuses = ["2xx", "409", "422"]

[checks.negative_data_rejection]
expected-statuses = ["400", "405", "409", "413", "415", "422"]

# The schema cannot say which bytes are a good key, nor whose keys may be kept here.
[[operations]]
include-path = "/crypto"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "403", "422"]
[operations.checks.negative_data_rejection]
expected-statuses = ["2xx", "400", "405", "413", "415", "422"]
"""


@pytest.fixture
def server(tmp_path):
    file = tmp_path / "pipelines.yaml"
    file.write_text(CONFIG)
    with ServerProcess(file, workers=1) as server:
        yield server


def test_every_reply_is_as_the_document_says(server, tmp_path):
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    words = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json",
        "--checks", "all", "--max-examples", "30", "--phases", "examples,coverage,fuzzing", "--seed", "1",
        "--request-timeout", "10", "--max-response-time", "5", "--workers", "1", "--suppress-health-check", "all",
        "--exclude-path", "/events/ws",  # it speaks no WebSocket
        "--no-color",
    ]  # fmt: skip
    done = subprocess.run(
        words, cwd=tmp_path, env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS)}, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert server.events("request_failed") == []
    assert server.events("connection_failed") == []
