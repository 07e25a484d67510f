"""One case from end to end with tiny numbers: that its figures are whole, never how good they are."""

import os
import shutil
from dataclasses import dataclass

import pytest
from bench import cache, chart, report
from bench.cases import CASES
from bench.peers import Bare, EventStream, Mercure
from bench.study import Scale, run_case

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


def test_a_peer_that_cannot_be_had_is_reported(monkeypatch):
    def refuse(module):
        raise cache.Unavailable("no Go here")

    monkeypatch.setattr(cache, "go_program", refuse)
    study = run_case(CASES["idle"], Tiny(), lambda _: None, [Mercure.name])
    (workload,) = report.as_json(study)["workloads"]
    assert workload["rows"] == [{"name": "mercure", "rounds": [], "not_measured": "no Go here"}]
