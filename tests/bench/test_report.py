import json
import xml.etree.ElementTree as ET

import pytest
from bench import chart, report

METRICS = [
    {"key": "rate", "unit": "events/s", "more_is_better": True},
    {"key": "server_cpu_us", "unit": "us CPU each", "more_is_better": False},
]


def row(name, *rounds, why=""):
    keys = [metric["key"] for metric in METRICS]
    return {"name": name, "rounds": [dict(zip(keys, one, strict=True)) for one in rounds], "not_measured": why}


def who(name, title, version="1"):
    return {"name": name, "title": title, "version": version, "durable": "fsync", "note": ""}


@pytest.fixture
def found():
    rows = [
        row("eventstream", (100, 8), (300, 10)),
        row("nchan", (50, 4), (100, 5)),
        row("mercure", why="`go` is not installed"),
        row("bare", (400, 4), (600, 5)),
    ]
    return {
        "case": "publish", "title": "Publishing <fast>",
        "method": "As fast as it goes.", "at": "2026-01-02T03:04:05+00:00",
        "rounds": 2, "quick": False,
        "machine": {
            "processor": "P", "cores": "2", "memory": "4 GiB", "kernel": "K", "disk": "ext4", "load before": "0.1",
        },
        "contenders": [
            who("eventstream", "Event-Stream"), who("nchan", "Nchan"), who("mercure", "Mercure", ""), who("bare", "C"),
        ],
        "workloads": [{"key": "32", "title": "32 connections", "metrics": METRICS, "rows": rows}],
    }  # fmt: skip


def test_the_table_compares_round_by_round(found):
    head, ours, nchan, bare = report.table(found, found["workloads"][0])
    assert head[:6] == ["", "events/s", "lowest to highest", "ours is ahead", "of the C loop", "per CPU"]
    assert ours[1:6] == ["200", "100 to 300", "", "38 %", "50 %"]  # 1/4 and 1/2 of the floor; CPU 1/2 in both
    assert nchan[3] == "2.50\u00d7"  # 100/50 and 300/100
    assert bare[4:6] == ["", ""]


def test_who_is_never_measured_says_why_once(found):
    found["workloads"] *= 2
    assert [row[0] for row in report.table(found, found["workloads"][0])] == ["", "Event-Stream", "Nchan", "C"]
    for text in (report.as_text(found), report.as_markdown(found)):
        assert text.count("Mercure: not measured: `go` is not installed") == text.count("not measured") == 1


def test_who_is_not_measured_here_says_why_here(found):
    rows = [row("eventstream", (100, 8)), row("mercure", (50, 4))]
    found["workloads"].append({"key": "64", "title": "64 connections", "metrics": METRICS, "rows": rows})
    assert report.table(found, found["workloads"][0])[3] == ["Mercure", "not measured: `go` is not installed"]
    assert report.as_text(found).count("not measured") == report.as_markdown(found).count("not measured") == 1


def test_a_lone_contender_is_compared_with_nobody(found):
    workload = found["workloads"][0]
    workload["rows"] = workload["rows"][:1]
    assert "ours is ahead" not in report.table(found, workload)[0]


def test_a_quick_trial_says_so_everywhere(found):
    found["quick"] = True
    assert "its figures mean nothing" in report.as_text(found)
    assert "its figures mean nothing" in report.as_markdown(found)
    assert "its figures mean nothing" in chart.draw(found)


def test_results_are_kept_by_time_and_as_the_latest(found, tmp_path):
    path = report.write(found, tmp_path)
    assert path.name == "publish-2026-01-02T030405Z.json"
    assert json.loads(path.read_text()) == json.loads((tmp_path / "latest" / "publish.json").read_text()) == found


def test_the_chart_is_well_formed_and_names_everybody(found):
    text = " ".join(part.text or "" for part in ET.fromstring(chart.draw(found)).iter())
    for word in ("Publishing <fast>", "Event-Stream", "Nchan", "Mercure", "not measured", "ext4", "rounds: 2"):
        assert word in text
