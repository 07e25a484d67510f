import ssl
import subprocess

import pytest

from eventstream.testing.process import ServerProcess

BUGS = ("request_failed", "connection_failed", "step_error", "loop_failed", "input_failed", "Error handling request")
SHORT = """
version: 1
server:
  limits: {body: 4MiB}
  timeouts: {head: 1s, body: 1s, write: 2s, keep_alive: 1500ms}
  drain: 5s
store:
  sqlite: {path: events.db}
pipelines:
  - name: default
    steps: [persist, fan_out]
outputs:
  - sse: {path: /events, heartbeat: 1s}
"""


def issue(folder, serial):
    """Write cert.pem and key.pem, self-signed for localhost, in place of what was there."""
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-set_serial", str(serial), "-keyout", folder / "new-key.pem", "-out", folder / "new-cert.pem",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "new-key.pem").replace(folder / "key.pem")
    (folder / "new-cert.pem").replace(folder / "cert.pem")


def trust_of(folder):
    """Return a client's context that trusts what `issue` wrote."""
    return ssl.create_default_context(cafile=folder / "cert.pem")


def assert_sound(server):
    for name in BUGS:
        assert server.events(name) == []
    assert "Traceback" not in server.log()


@pytest.fixture(scope="module")
def short_server(tmp_path_factory):
    """A server with one worker and short deadlines."""
    file = tmp_path_factory.mktemp("short") / "pipelines.yaml"
    file.write_text(SHORT)
    with ServerProcess(file, workers=1) as server:
        yield server
    assert_sound(server)


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory):
    """The same over HTTPS; its certificate lies beside its configuration."""
    folder = tmp_path_factory.mktemp("tls")
    issue(folder, 1)
    file = folder / "pipelines.yaml"
    file.write_text(SHORT.replace("server:\n", "server:\n  tls: {cert: cert.pem, key: key.pem}\n"))
    with ServerProcess(file, workers=1) as server:
        yield server
    assert_sound(server)


@pytest.fixture
def trust(tls_server):
    """What a client needs to trust the server."""
    return trust_of(tls_server.config.parent)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A folder with cert.pem and key.pem."""
    folder = tmp_path_factory.mktemp("certificate")
    issue(folder, 1)
    return folder


@pytest.fixture
def renew(tls_server):
    """Return a function that puts another certificate on disk, with this serial number."""
    return lambda serial: issue(tls_server.config.parent, serial)
