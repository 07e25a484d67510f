"""One case from end to end with tiny numbers: that its figures are whole, never how good they are."""

import os
import shutil
import socket
from dataclasses import dataclass

import pytest
from bench import cache, chart, report
from bench.cases import CASES
from bench.peers import Bare, EventStream, Mercure
from bench.study import Lab, Scale, run_case

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None and not os.environ.get("EVENTSTREAM_ALL_TOOLS"), reason="needs a C compiler"
)


@dataclass(frozen=True)
class Tiny(Scale):
    """Smaller than a quick trial."""

    rounds: int = 1
    quick: bool = True

    def of(self, full, quick):
        return max(1, int(quick) // 20)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(cache, "CACHE", tmp_path_factory.getbasetemp() / "cache")


def test_every_case_names_its_workloads_once():
    for case in CASES.values():
        for scale in (Scale(), Scale(quick=True)):
            keys = [workload.key for workload in case.workloads(scale)]
            assert len(keys) == len(set(keys)) > 0
        names = [one.name for one in case.contenders()]
        assert names[0] == EventStream.name
        assert len(names) == len(set(names))


def test_the_latency_of_this_server_and_the_floor(tmp_path):
    said = []
    case = CASES["latency"]
    study = run_case(case, Tiny(), said.append, [EventStream.name, Bare.name])
    found = report.as_json(study)
    assert [workload["key"] for workload in found["workloads"]] == ["sse", "websocket"]
    for workload in found["workloads"]:
        for row in workload["rows"]:
            assert row["not_measured"] == ""
            (values,) = row["rounds"]
            assert values["flaws"] == 0
            assert values["delivery_p50_us"] > 0
    assert any("round 1 of 1" in line for line in said)
    assert "Event-Stream" in report.as_text(found)
    assert report.write(found, tmp_path).exists()
    assert chart.draw(found).startswith("<svg")


def test_what_takes_long_to_make_is_made_once_for_all_rounds(tmp_path):
    made = []

    def fill(folder):
        made.append(folder)
        (folder / "events.db").write_text("many")
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(str(folder / "sock"))

    for number in range(3):
        (tmp_path / f"{number}").mkdir()
        copy = Lab(tmp_path / f"{number}", None, Tiny(), tmp_path).stocked("history", fill)
        assert [path.name for path in copy.iterdir()] == ["events.db"]
        (copy / "events.db").write_text("changed")
    assert len(made) == 1


def test_what_could_not_be_made_is_not_tried_again(tmp_path):
    tried = []

    def fill(folder):
        tried.append(folder)
        raise cache.Unavailable("stored 7 of 9 events in 120 s")

    for _ in range(2):
        with pytest.raises(cache.Unavailable, match="7 of 9"):
            Lab(tmp_path, None, Tiny(), tmp_path).stocked("history", fill)
    assert len(tried) == 1


def test_a_history_is_stored_once_and_each_round_begins_with_a_copy():
    study = run_case(CASES["startup"], Tiny(rounds=2), lambda _: None)
    for workload in study.case.workloads(study.scale):
        values = study.rounds[workload.key, EventStream.name]
        assert len(values) == 2
        assert all(0 < one["cpu_seconds"] < 20 and one["stored_mib"] > 0 for one in values)


def test_a_peer_that_cannot_be_had_is_reported(monkeypatch):
    def refuse(module):
        raise cache.Unavailable("no Go here")

    monkeypatch.setattr(cache, "go_program", refuse)
    study = run_case(CASES["idle"], Tiny(), lambda _: None, [Mercure.name])
    (workload,) = report.as_json(study)["workloads"]
    assert workload["rows"] == [{"name": "mercure", "rounds": [], "not_measured": "no Go here"}]
