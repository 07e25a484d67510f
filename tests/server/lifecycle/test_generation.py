"""A broken file on disk leaves the running configuration running, also in a worker that is respawned."""

import json
import shutil
import ssl
import subprocess

import httpx
import pytest

from eventstream.testing.process import wait_for

SCHEMA = {"type": "object", "required": ["total"], "properties": {"total": {"type": "number"}}}

VALIDATING = """
version: 1
store: {sqlite: {path: data/events.db}}
pipelines:
  - name: default
    steps: [{validate: {schema: order.json}}, persist, fan_out]
"""


@pytest.fixture
def pair(tmp_path):
    def make(name):
        cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-keyout", key, "-out", cert, "-days", "2", "-subj", f"/CN={name}"],
            check=True, capture_output=True, timeout=30,
        )  # fmt: skip
        return cert, key

    return make


def post(server, data, **options):
    return httpx.post(f"{server.url}/events", json={"type": "t", "data": data}, timeout=10, **options).status_code


def test_a_broken_configuration_on_disk_and_a_killed_worker_change_nothing(serve, kill_worker):
    server = serve()
    server.config.write_text("pipelines: [[[")
    for _ in range(2):
        kill_worker(server)
    assert server.generation() == 1
    assert {post(server, 1) for _ in range(8)} == {201}


def test_a_deleted_configuration_and_a_killed_worker_change_nothing(serve, kill_worker):
    server = serve()
    server.config.unlink()
    kill_worker(server)
    assert post(server, 1) == 201


def test_a_broken_schema_on_disk_and_a_killed_worker_change_nothing(serve, kill_worker, tmp_path):
    schema = tmp_path / "order.json"
    schema.write_text(json.dumps(SCHEMA))
    server = serve(VALIDATING)
    schema.write_text("{ broken")
    for _ in range(2):
        kill_worker(server)
    assert {post(server, {"total": 1}) for _ in range(8)} == {201}
    assert {post(server, {"total": "x"}) for _ in range(8)} == {422}
    schema.unlink()
    kill_worker(server)
    assert {post(server, {"total": "x"}) for _ in range(8)} == {422}


def test_a_broken_certificate_on_disk_and_a_killed_worker_change_nothing(serve, kill_worker, pair):
    cert, key = pair("one")
    config = """
version: 1
server: {tls: {cert: cert.pem, key: key.pem}}
store: {sqlite: {path: data/events.db}}
pipelines: [{name: default, steps: [persist, fan_out]}]
"""
    server = serve(config)
    trusted = ssl.create_default_context(cafile=cert)
    trusted.check_hostname = False
    cert.write_text("broken")
    key.unlink()
    kill_worker(server)
    kill_worker(server)
    url = server.url.replace("http:", "https:")
    for _ in range(8):
        assert httpx.post(f"{url}/events", json={"type": "t"}, verify=trusted, timeout=10).status_code == 201


def test_a_renewed_certificate_that_does_not_fit_its_key_leaves_the_old_one_in_force(serve, pair, tmp_path):
    pair("one")
    server = serve("""
version: 1
server: {tls: {cert: cert.pem, key: key.pem}, workers: 1}
store: {sqlite: {path: data/events.db}}
pipelines: [{name: default, steps: [persist, fan_out]}]
""", workers=1)  # fmt: skip
    old = (tmp_path / "cert.pem").read_text()
    shutil.copy(tmp_path / "key.pem", tmp_path / "old.pem")
    pair("two")
    (tmp_path / "new.pem").write_bytes((tmp_path / "key.pem").read_bytes())
    shutil.copy(tmp_path / "old.pem", tmp_path / "key.pem")

    def served():
        return ssl.get_server_certificate(("127.0.0.1", server.port), timeout=10)

    wait_for(lambda: server.events("certificate_not_renewed"), "the refused pair")
    assert served() == old
    shutil.copy(tmp_path / "new.pem", tmp_path / "key.pem")
    wait_for(lambda: server.events("certificate_renewed"), "the whole pair")
    assert served() == (tmp_path / "cert.pem").read_text()
