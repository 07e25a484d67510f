import json
import re
import subprocess
import sys

import pytest

from eventstream.telemetry.metrics import MAX_FINGERPRINTS, MAX_LABELS, Metrics, forget_worker

WORKERS = """
import json, os, sys, threading
from eventstream.telemetry import metrics
folder, rounds = sys.argv[1], int(sys.argv[2])
metrics.share(folder)

def in_child(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    os.waitpid(pid, 0)
    return pid

def work():
    one = metrics.Metrics(folder)
    one.received("plain", 2, 10)
    one.stored(3, 1, 0.0015)
    one.refused("schema")
    one.connections("sse", 5)
    one.flush()

def show():
    sys.stdout.write(metrics.Metrics(folder).render().decode())

for _ in range(rounds):
    pid = in_child(work)
    metrics.forget_worker(pid, folder)
in_child(work)  # dead, and not yet forgotten
in_child(lambda: (show(), sys.stdout.flush()))
print("FILES", json.dumps(sorted(os.listdir(folder))))
"""


def sample(text, name):
    found = re.findall(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[0]) if found else None


@pytest.fixture(scope="module")
def after_many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("metrics")
    words = [sys.executable, "-c", WORKERS, str(folder), "30"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    text, _, files = done.stdout.partition("FILES ")
    return text, json.loads(files)


def test_counters_survive_their_workers(after_many):
    text, _ = after_many
    assert sample(text, 'eventstream_events_received_total{form="plain"}') == 62
    assert sample(text, "eventstream_bytes_received_total") == 310
    assert sample(text, 'eventstream_refusals_total{reason="schema"}') == 31
    assert sample(text, "eventstream_store_append_seconds_count") == 31
    assert sample(text, "eventstream_store_append_seconds_sum") == pytest.approx(31 * 0.0015)
    assert sample(text, 'eventstream_store_append_seconds_bucket{le="0.001"}') == 0
    assert sample(text, 'eventstream_store_append_seconds_bucket{le="0.002"}') == 31
    assert sample(text, 'eventstream_store_append_seconds_bucket{le="+Inf"}') == 31


def test_gauges_vanish_with_their_workers(after_many):
    text, _ = after_many
    assert sample(text, 'eventstream_subscribers{output="sse"}') == 5  # of the one that nobody forgot yet


def test_files_do_not_grow_in_number(after_many):
    _, files = after_many
    assert len(files) < 20
    assert {"counter_dead.db", "histogram_dead.db"} <= set(files)


def test_labels_are_bounded():
    one = Metrics()
    for number in range(MAX_LABELS + 100):
        one.refused(f"made up {number}")
    text = one.render().decode()
    assert text.count("eventstream_refusals_total{") == MAX_LABELS + 1
    assert sample(text, 'eventstream_refusals_total{reason="other"}') == 100


def fail(depth):
    if depth:
        fail(depth - 1)
    raise ValueError(f"a secret {depth}")


def test_a_fingerprint_is_of_the_place_and_not_of_the_values():
    one = Metrics()
    prints = []
    for depth in (0, 0, 1):
        try:
            fail(depth)
        except ValueError as error:
            prints.append(one.error(error))
    assert prints[0] == prints[1] != prints[2]
    text = one.render().decode()
    assert sample(text, f'eventstream_errors_total{{fingerprint="{prints[0]}"}}') == 2
    assert "secret" not in text


def test_fingerprints_are_bounded():
    one = Metrics()
    for number in range(MAX_FINGERPRINTS + 5):
        one.error(type(f"Error{number}", (Exception,), {})())
    assert one.error(type("More", (Exception,), {})()) == "other"


def test_forgetting_an_unknown_worker_does_nothing(tmp_path):
    forget_worker(1, str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_appends_counted_by_the_second_show_as_if_each_had_been_observed():
    one, other = Metrics(), Metrics()
    for seconds in (0.0, 0.0005, 0.0006, 0.003, 4.9, 5.0, 60.0):
        one.stored(1, 0, seconds)
        other._append_seconds.observe(seconds)
    found, expected = (
        [line for line in text.decode().splitlines() if "append_seconds" in line and "_created" not in line]
        for text in (one.render(), other.render())
    )
    assert found == expected
    assert one.render().count(b"append_seconds_count 7.0") == 1, "what was carried over is not counted again"
