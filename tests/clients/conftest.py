import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest
from clients.cutting_proxy import CuttingProxy
from clients.lines import Lines
from clients.web import serve_pages

from eventstream.testing.process import ServerProcess

HERE = Path(__file__).parent
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


@pytest.fixture(scope="session", name="free_port")
def find_free_port():
    """A function that returns a port nobody listens on."""
    return free_port


@pytest.fixture(scope="session")
def node(tmp_path_factory):
    """A folder with the npm clients installed as locked, and the scripts of `node/`."""
    folder = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    shutil.copytree(HERE / "node", folder / "node")
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture(scope="session")
def client_words(node):
    """A function that returns the command of a client script: a `.mjs` of `node/` or a `.py` of `python/`."""

    def words(script, *arguments):
        if script.endswith(".mjs"):
            return ["node", "--no-warnings", node / "node" / script, *arguments]
        return [sys.executable, HERE / "python" / script, *arguments]

    return words


@pytest.fixture(scope="module")
def run_client(client_words, tmp_path_factory):
    """A function that starts a client script; returns a `Lines` of what it prints."""
    clients = []

    def start(script, *arguments):
        clients.append(Lines(client_words(script, *arguments), tmp_path_factory.mktemp("client")))
        return clients[-1]

    yield start
    for client in clients:
        client.stop()


@pytest.fixture(scope="module")
def origin():
    """The origin of a web server with `pages/`."""
    with serve_pages(HERE / "pages") as origin:
        yield origin


@pytest.fixture(scope="module")
def cutting_proxy():
    """A function that starts a `CuttingProxy`."""
    proxies = []

    def start(*arguments, **options):
        proxies.append(CuttingProxy(*arguments, **options))
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.close()


@pytest.fixture(scope="module")
def serve_module(tmp_path_factory):
    """A function that starts a server for a whole module: `serve_module(config_text, …)`."""
    with ExitStack() as servers:

        def start(config, **options):
            file = tmp_path_factory.mktemp("server") / "pipelines.yaml"
            file.write_text(config)
            return servers.enter_context(ServerProcess(file, **options))

        yield start
