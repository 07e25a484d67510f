"""Starts that are refused: nothing serves, the status is not 0, and the reason is told once and plainly."""

import json
import socket

import pytest

CONFIG = """
version: 1
store: {sqlite: {path: data/events.db}}
pipelines: [{name: default, steps: [persist, fan_out]}]
"""


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def entries(done):
    """Return the log's lines; under -W error what gunicorn leaves open is told between them."""
    return [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]


def test_a_faulty_file_starts_nothing_and_tells_every_fault(eventstream, tmp_path):
    (tmp_path / "pipelines.yaml").write_text(CONFIG.replace("fan_out", "fan_uot").replace("version: 1", "version: 2"))
    done = eventstream("serve")
    assert (done.returncode, done.stdout) == (1, "")
    assert [line.split(":")[:2] for line in done.stderr.splitlines()] == [
        ["pipelines.yaml", "2"],
        ["pipelines.yaml", "4"],
    ]
    assert not (tmp_path / "data").exists()


def test_a_missing_file_is_told(eventstream):
    done = eventstream("serve", "none.yaml")
    assert done.returncode == 1
    assert "none.yaml: error: cannot read the configuration" in done.stderr


def test_options_are_judged_like_the_file(eventstream, tmp_path):
    (tmp_path / "pipelines.yaml").write_text(CONFIG)
    done = eventstream("serve", "--bind", "nowhere")
    assert done.returncode == 1
    assert "--bind" in done.stderr
    done = eventstream("serve", "--bind", "0.0.0.0:1")
    assert done.returncode == 1
    assert "can be reached from other machines" in done.stderr


def test_an_address_in_use_is_told(eventstream, tmp_path, port):
    (tmp_path / "pipelines.yaml").write_text(CONFIG)
    done = eventstream("serve", "--bind", f"127.0.0.1:{port}")
    assert done.returncode == 1
    assert f"Can't connect to ('127.0.0.1', {port})" in [entry["event"] for entry in entries(done)]


def test_a_store_that_cannot_open_ends_the_start_without_a_traceback(eventstream, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "events.db").write_bytes(b"this is no database" * 100)
    (tmp_path / "pipelines.yaml").write_text(CONFIG)
    done = eventstream("serve", "--bind", "127.0.0.1:0", "--workers", "1")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    told = next(entry for entry in entries(done) if entry["event"] == "worker_cannot_start")
    assert "events.db: cannot be opened: file is not a database" in told["error"]


def test_a_certificate_that_cannot_be_used_is_told(eventstream, tmp_path):
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("no PEM")
    (tmp_path / "pipelines.yaml").write_text(CONFIG + "server: {tls: {cert: cert.pem, key: key.pem}}\n")
    done = eventstream("serve")
    assert done.returncode == 1
    assert "server.tls" in done.stderr
    assert str(tmp_path / "cert.pem") in done.stderr
    assert "Traceback" not in done.stderr
