"""`verify-log` as an auditor uses it: on a store at rest, beside a busy server, after a kill."""

import json
import re
import sqlite3
import threading
from contextlib import closing

import pytest
from crash.stream import Publisher

from eventstream.cli.main import main
from eventstream.testing.process import wait_for

CONFIG = """
version: 1
store:
  sqlite: {path: data/events.db}
  chain: {events: 10, every: 1s}
pipelines: [{name: all, steps: [persist, fan_out]}]
outputs: [sse]
"""


@pytest.fixture
def filled(program, tmp_path):
    """Return a function that imports so many events."""
    (tmp_path / "pipelines.yaml").write_text(CONFIG)

    def fill(first, last):
        lines = [
            json.dumps({"specversion": "1.0", "id": str(number), "source": "/till", "type": "till.opened"})
            for number in range(first, last + 1)
        ]
        (tmp_path / "events.ndjson").write_text("\n".join(lines))
        assert program("import", "events.ndjson").returncode == 0

    fill(1, 20)
    return fill


def edit(folder, *statements):
    with closing(sqlite3.connect(folder / "data" / "events.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def head_of(result):
    return re.search(r"^head: ([0-9a-f]{64})$", result.stdout, re.MULTILINE)[1]


def test_a_sound_log(program, filled):
    result = program("verify-log")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(r"verified: 20 events behind \w{8}-0, up to \w{8}-20\nhead: [0-9a-f]{64}\n", result.stdout), (
        result.stdout
    )


def test_a_noted_head(program, filled):
    noted = head_of(program("verify-log"))
    filled(21, 25)
    result = program("verify-log", "--head", noted.upper())
    assert result.returncode == 0
    assert re.search(r"^given head: found at \w{8}-20, 5 before the end$", result.stdout, re.MULTILINE)


def test_a_cut_tail(program, filled, tmp_path):
    noted = head_of(program("verify-log"))
    edit(
        tmp_path,
        "DELETE FROM events WHERE offset > 15",
        "UPDATE meta SET head = 15, chained = 15, chain_hash = (SELECT hash FROM events WHERE offset = 15)",
    )
    assert program("verify-log").returncode == 0  # nobody can tell without the head
    result = program("verify-log", "--head", noted)
    assert result.returncode == 1
    assert re.search(r"^given head: not found behind \w{8}-0: the end was cut off", result.stdout, re.MULTILINE)


def test_an_altered_event(program, filled, tmp_path):
    noted = head_of(program("verify-log"))
    edit(tmp_path, "UPDATE events SET deliver = 0 WHERE offset = 7")
    result = program("verify-log", "pipelines.yaml", "--head", noted)
    assert result.returncode == 1
    verified, damage, given = result.stdout.splitlines()
    assert re.fullmatch(r"verified: 6 events behind \w{8}-0, up to \w{8}-6", verified)
    assert re.fullmatch(r"altered: \w{8}-7: it is not the event that was stored here", damage)
    assert given == "given head: not found before the damage"


def test_json(program, filled, tmp_path):
    head = head_of(program("verify-log"))
    report = json.loads(program("verify-log", "--json", "--head", head).stdout)
    cursor = report["reached"]["cursor"]
    assert re.fullmatch(r"\w{8}-20", cursor)
    epoch = cursor.partition("-")[0]
    assert report == {
        "ok": True,
        "verified": 20,
        "anchor": {"offset": 0, "cursor": f"{epoch}-0", "hash": "0" * 64},
        "reached": {"offset": 20, "cursor": cursor, "hash": head},
        "older": 0,
        "outside": None,
        "given": {"hash": head, "found": {"offset": 20, "cursor": cursor}},
        "damage": None,
    }
    edit(tmp_path, "DELETE FROM events WHERE offset IN (3, 4)")
    result = program("verify-log", "--json")
    assert result.returncode == 1
    assert json.loads(result.stdout)["damage"] == {
        "offset": 3, "cursor": f"{epoch}-3", "kind": "missing", "detail": "nothing is left of 3 to 4",
    }  # fmt: skip


def test_events_outside_the_chain(program, filled, tmp_path):
    (tmp_path / "pipelines.yaml").write_text(CONFIG.replace("  chain: {events: 10, every: 1s}\n", ""))
    filled(21, 25)
    (tmp_path / "pipelines.yaml").write_text(CONFIG)
    filled(26, 30)
    result = program("verify-log")
    assert result.returncode == 1
    assert re.search(r"^outside: 5 events are not in the chain, the first is \w{8}-21$", result.stdout, re.MULTILINE)
    assert head_of(result)


def test_a_store_without_a_chain(program, filled, tmp_path):
    (tmp_path / "plain.yaml").write_text(
        CONFIG.replace("  chain: {events: 10, every: 1s}\n", "").replace("data", "new")
    )
    program("import", "--config", "plain.yaml", "events.ndjson")
    result = program("verify-log", "plain.yaml")
    assert result.returncode == 1
    assert "this store holds no hash chain: add `chain: {}`" in result.stderr


@pytest.mark.parametrize("head", ["", "12", "x" * 64, "é" * 64])
def test_a_head_that_is_none(program, filled, head):
    result = program("verify-log", "--head", head)
    assert result.returncode == 1
    assert "64 hexadecimal digits" in result.stderr


def test_beside_a_busy_server_and_after_its_end(serve, monkeypatch, capsys, tmp_path):
    server = serve(CONFIG, workers=2)
    monkeypatch.chdir(tmp_path)
    done = threading.Event()

    def publish(label):
        with Publisher(server.port) as publisher:
            while not done.is_set():
                publisher.publish(source=f"/{label}")

    threads = [threading.Thread(target=publish, args=(label,)) for label in "ab"]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: len(server.events("chain_head")) >= 3, "three heads in the log")
        assert main(["verify-log", "--head", server.events("chain_head")[0]["hash"]]) == 0
    finally:
        done.set()
        for thread in threads:
            thread.join()
    server.kill_group()
    capsys.readouterr()
    for line in server.events("chain_head"):
        assert line["logger"] == "eventstream.audit"
        assert main(["verify-log", "--head", line["hash"]]) == 0
        assert f"given head: found at {line['cursor']}," in capsys.readouterr().out
    offsets = [line["offset"] for line in server.events("chain_head")]
    assert offsets == sorted(set(offsets))
