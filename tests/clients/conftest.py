import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ECHO = Path(__file__).with_name("echo_plugin.py")
CONFIGURATION = """\
version: 1
server: {workers: %d}
store:
  sqlite: {path: %s}
pipelines:
  - name: all
    steps: [persist, fan_out]
outputs:
  - sse
  - websocket: {path: /events/ws}
  - echo
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_until_ready(process, url, log, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"the server did not get ready:\n{log.read_text()[-4000:]}")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server with two workers and the echo output; yields its host and port."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "pipelines.yaml").write_text(CONFIGURATION % (2, folder / "events.db"))
    address = f"127.0.0.1:{free_port()}"
    log = folder / "log"
    command = [sys.executable, "-m", "eventstream", "serve", str(folder / "pipelines.yaml"), "--bind", address]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--plugin", str(ECHO)], cwd=ROOT, stdout=out, stderr=out, start_new_session=True
        )
    try:
        wait_until_ready(process, f"http://{address}", log)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)
            pytest.fail(f"the server did not stop:\n{log.read_text()[-4000:]}")
