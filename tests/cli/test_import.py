"""`export`, `import` and `backup` as processes of their own, beside a server or without one."""

import json
import sqlite3
import threading

import httpx
import pytest
from httpx_sse import connect_sse

from eventstream.cli.main import main
from eventstream.testing.process import ServerProcess, wait_for

CONFIG = """
version: 1
store: {{sqlite: {{path: {path}}}}}
pipelines:
  - name: kept
    match: {{type: "kept.*"}}
    steps: [persist]
  - name: default
    steps: [persist, fan_out]
outputs: [{{sse: {{path: /events, heartbeat: 1s}}}}]
"""


@pytest.fixture
def configs(tmp_path):
    """Write a configuration for each of two stores: `one` and `two`."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(CONFIG.format(path=f"{name}/events.db"))
    return tmp_path


@pytest.fixture
def server(configs):
    with ServerProcess(configs / "one.yaml") as running:
        yield running


def event(number, **attributes):
    return {"specversion": "1.0", "id": f"e{number}", "source": "/s", "type": "t", "data": {"n": number}} | attributes


def lines(events):
    return "".join(json.dumps(one) + "\n" for one in events)


def publish(server, events):
    receipts = []
    with httpx.Client(timeout=20) as client:
        for one in events:
            headers = {"Content-Type": "application/cloudevents+json"}
            answer = client.post(f"{server.url}/events", json=one, headers=headers)
            assert answer.status_code == 201
            receipts.append(answer.json()["cursor"])
    return receipts


def stored(program, config, *words):
    done = program("export", "--config", config, *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.split("\n") if line]


@pytest.fixture
def program(capfdbinary, configs, monkeypatch):
    """Run the program in this process, its binary output captured."""
    monkeypatch.chdir(configs)

    class Done:
        def __init__(self, words):
            try:
                self.returncode = main(words)
            except SystemExit as end:
                self.returncode = end.code
            out, err = capfdbinary.readouterr()
            self.stdout, self.stderr = out.decode(), err.decode()

    return lambda *words: Done(words)


def test_export_into_another_store_equals(server, program, configs):
    events = [event(1, subject="a", ext="x"), event(2, type="kept.x"), event(3, data="\u2028 ü"), event(4, data=None)]
    events.append(event(5, data=1.5, time="2026-01-01T00:00:00Z") | {"datacontenttype": "application/json"})
    del events[3]["data"]
    events[3]["data_base64"] = "AAEC"
    cursors = publish(server, events)
    assert [one["id"] for one in stored(program, "one.yaml", "--delivered")] == ["e1", "e3", "e4", "e5"]
    assert [one["id"] for one in stored(program, "one.yaml", "--after", cursors[2])] == ["e4", "e5"]
    assert program("export", "--config", "one.yaml", "--output", "all.ndjson").returncode == 0
    exported = [json.loads(line) for line in (configs / "all.ndjson").read_bytes().splitlines()]
    assert [one.pop("eventstreamhidden", False) for one in exported] == [False, True, False, False, False]
    assert exported == events
    again = program("export", "--config", "one.yaml", "--output", "all.ndjson")
    assert (again.returncode, "exists already" in again.stderr) == (1, True)
    done = program("import", "all.ndjson", "--config", "two.yaml")
    assert (done.returncode, done.stderr) == (0, "5 events imported, 0 were there already\n")
    for words in (("--delivered",), ()):
        assert stored(program, "two.yaml", *words) == stored(program, "one.yaml", *words)
    done = program("import", "all.ndjson", "--config", "two.yaml")
    assert (done.returncode, done.stderr) == (0, "0 events imported, 5 were there already\n")


def test_an_import_reaches_the_subscribers_of_a_running_server(server, program, configs):
    (configs / "in.ndjson").write_text(lines(event(number) for number in range(1200)))
    (configs / "quiet.ndjson").write_text(lines(event(number, id=f"q{number}") for number in range(3)))
    with httpx.Client(timeout=20) as client, connect_sse(client, "GET", f"{server.url}/events") as source:
        frames = source.iter_sse()
        assert next(frames).event == "cursor"
        assert program("import", "quiet.ndjson", "--quiet", "--config", "one.yaml").returncode == 0
        assert program("import", "in.ndjson", "--config", "one.yaml").returncode == 0
        seen = []
        while len(seen) < 1200:
            frame = next(frames)
            if frame.event == "message":
                seen.append(json.loads(frame.data)["id"])
    assert seen == [f"e{number}" for number in range(1200)]
    receipt = publish_again(server, event(7))
    assert receipt.status_code == 200
    assert receipt.json()["duplicate"] is True


def publish_again(server, one):
    headers = {"Content-Type": "application/cloudevents+json"}
    return httpx.post(f"{server.url}/events", json=one, headers=headers, timeout=20)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("{", "line 4: not JSON"),
        ('{"specversion": "1.0"}', "id is required"),
        ('{"specversion": "1.0", "id": "x", "source": "/s", "type": "eventstream.gap"}', "line 4: "),
        (json.dumps(event(1, data="other")), "line 4: the store holds other content"),
        ("[]", "line 4: an event is a JSON object"),
        ("\x00", "line 4: "),
    ],
)
def test_a_bad_line_stops_the_import_there(program, configs, bad, words):
    text = lines([event(1), event(2)]) + "\n" + bad + "\n" + lines([event(9)])
    (configs / "in.ndjson").write_text(text)
    done = program("import", "in.ndjson", "--config", "two.yaml")
    assert done.returncode == 1
    assert words in done.stderr
    assert "2 events imported, 0 were there already" in done.stderr
    assert [one["id"] for one in stored(program, "two.yaml")] == ["e1", "e2"]


def test_what_cannot_be_read_is_told(program, configs):
    assert "cannot read none.ndjson: No such file" in program("import", "none.ndjson", "--config", "two.yaml").stderr
    done = program("export", "--config", "two.yaml")
    assert done.returncode == 1
    assert str(configs / "two" / "events.db") in done.stderr
    (configs / "m.yaml").write_text(
        "version: 1\nserver: {workers: 1}\nstore: {memory: {}}\npipelines: [{name: a, steps: [persist]}]\n"
    )
    assert "own memory" in program("export", "--config", "m.yaml").stderr


def test_places_that_are_not_in_the_history(server, program):
    publish(server, [event(1)])
    for cursor in ("nonsense", "zzzzzzzz-1"):
        done = program("export", "--config", "one.yaml", "--after", cursor)
        assert (done.returncode, done.stdout) == (1, "")
        assert "after" in done.stderr


def test_standard_input_and_output_of_real_processes(eventstream, configs, tmp_path):
    (configs / "in.ndjson").write_text(lines([event(1), event(2)]))
    assert eventstream("import", "in.ndjson", "--config", "one.yaml").returncode == 0
    done = eventstream("export", "--config", "one.yaml")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [event(1), event(2)]


def test_a_backup_under_load_holds_a_prefix_with_everything_acknowledged_before(server, program, configs):
    acknowledged, stop = [], threading.Event()

    def produce():
        with httpx.Client(timeout=20) as client:
            while not stop.is_set():
                number = len(acknowledged)
                batch = [event(number * 10 + i) for i in range(10)]
                headers = {"Content-Type": "application/cloudevents-batch+json"}
                answer = client.post(f"{server.url}/events", json=batch, headers=headers)
                assert answer.status_code == 201
                acknowledged.append(number)

    thread = threading.Thread(target=produce)
    thread.start()
    try:
        wait_for(lambda: len(acknowledged) > 20, "some events")
        before = len(acknowledged)
        epochs = sqlite3.connect(configs / "one" / "events.db")
        known = epochs.execute("SELECT count(*) FROM epochs").fetchone()
        done = program("backup", str(configs / "copy.db"), "--config", "one.yaml")
        assert done.returncode == 0, done.stderr
        assert epochs.execute("SELECT count(*) FROM epochs").fetchone() == known
        epochs.close()
        wait_for(lambda: len(acknowledged) > before + 5, "more events")
    finally:
        stop.set()
        thread.join(25)
    assert (configs / "copy.db").stat().st_mode & 0o777 == 0o600
    assert "exists already" in program("backup", str(configs / "copy.db"), "--config", "one.yaml").stderr
    (configs / "copy.yaml").write_text(CONFIG.format(path="copy.db"))
    copied = [one["id"] for one in stored(program, "copy.yaml")]
    everything = [one["id"] for one in stored(program, "one.yaml")]
    assert everything == [f"e{number}" for number in range(len(acknowledged) * 10)]
    assert before * 10 <= len(copied) < len(everything)
    assert copied == everything[: len(copied)]
