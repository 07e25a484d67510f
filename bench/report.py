"""A study as text for a terminal, as JSON to keep, as Markdown for the documentation."""

import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import machine
from bench.figures import Spread, ahead, human, spread, times
from bench.peers import OURS, Bare
from bench.study import Study

RESULTS = Path(__file__).parent / "results"


def as_json(study: Study) -> dict[str, Any]:
    """Everything that was measured, each round; what was not, with its reason."""
    case = study.case
    return {
        "case": case.name,
        "title": case.title,
        "method": case.method,
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "rounds": study.scale.rounds,
        "quick": study.scale.quick,
        "machine": machine.describe(),
        "contenders": [
            {
                "name": one.name,
                "title": one.title,
                "version": study.versions.get(one.name, ""),
                "durable": study.durable.get(one.name, ""),
                "note": study.notes.get(one.name, ""),
            }
            for one in study.contenders
        ],
        "workloads": [
            {
                "key": workload.key,
                "title": workload.title,
                "metrics": [metric._asdict() for metric in workload.metrics],
                "rows": [_row(study, workload.key, one.name) for one in study.contenders],
            }
            for workload in case.workloads(study.scale)
        ],
    }


def _row(study: Study, workload: str, name: str) -> dict[str, Any]:
    rounds = study.rounds.get((workload, name), [])
    why = study.missing.get((workload, name), "")
    return {"name": name, "rounds": rounds, "not_measured": "" if rounds else why or "it did not come to this"}


def write(found: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Keep a result: under its time, and as the latest of its case."""
    latest = folder / "latest"
    latest.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1) + "\n"
    path = folder / f"{found['case']}-{found['at'].replace(':', '').replace('+0000', 'Z')}.json"
    path.write_text(text)
    (latest / f"{found['case']}.json").write_text(text)
    return path


class Line:
    """One contender in one workload: medians and spreads, how far ours is ahead of it, its part of the bare C loop."""

    def __init__(self, workload: dict[str, Any], row: dict[str, Any]) -> None:
        self.name: str = row["name"]
        self.why: str = row["not_measured"]
        self.metrics = workload["metrics"]
        self.spreads = {m["key"]: spread(values) for m in self.metrics if (values := _values(row, m["key"]))}
        self.headline: Spread | None = self.spreads.get(self.metrics[0]["key"])
        cpu = next((metric for metric in self.metrics if metric["key"].startswith("server_cpu")), None)
        self.ratio = _compare(_other(workload, OURS, self.name), row, self.metrics[0])
        floor = _other(workload, Bare.name, self.name)
        self.of_floor = _compare(row, floor, self.metrics[0])
        self.cpu_of_floor = _compare(row, floor, cpu) if cpu else None


def _other(workload: dict[str, Any], name: str, than: str) -> dict[str, Any] | None:
    """The row of that name, if it is another."""
    return next((one for one in workload["rows"] if one["name"] == name != than), None)


def _compare(row: dict[str, Any] | None, other: dict[str, Any] | None, metric: dict[str, Any]) -> Spread | None:
    """How many times better the row's figure is than the other's."""
    if row is None or other is None:
        return None
    return ahead(_values(row, metric["key"]), _values(other, metric["key"]), more_is_better=metric["more_is_better"])


def _values(row: dict[str, Any], key: str) -> list[float]:
    return [one[key] for one in row["rounds"]]


def _percent(part: Spread | None) -> str:
    return f"{100 * part.median:.0f} %" if part else ""


def lines(workload: dict[str, Any]) -> list[Line]:
    return [Line(workload, row) for row in workload["rows"]]


def absent(found: dict[str, Any]) -> dict[str, str]:
    """Who has no figure at all, for one reason: said once, not in every table."""
    reasons: dict[str, set[str]] = {}
    for workload in found["workloads"]:
        for row in workload["rows"]:
            reasons.setdefault(row["name"], set()).add(row["not_measured"])
    return {name: whys.pop() for name, whys in reasons.items() if len(whys) == 1 and "" not in whys}


def table(found: dict[str, Any], workload: dict[str, Any]) -> list[list[str]]:
    """Rows of words: a head, then one row for each contender that has a figure somewhere."""
    missing = absent(found)
    who = {one["name"]: one for one in found["contenders"]}
    metrics = workload["metrics"]
    alone = len(workload["rows"]) == 1
    floor = any(row["name"] == Bare.name and row["rounds"] for row in workload["rows"])
    extra = [] if alone else ["ours is ahead"]
    extra += ["of the C loop", "per CPU"] if floor else []
    rows = [
        ["", metrics[0]["unit"], "lowest to highest", *extra, *(metric["unit"] for metric in metrics[1:]), "durable"]
    ]
    for line in (one for one in lines(workload) if one.name not in missing):
        title = who[line.name]["title"]
        if line.headline is None:
            rows.append([title, f"not measured: {line.why}"])
            continue
        top = line.headline
        cells = [title, human(top.median), f"{human(top.low)} to {human(top.high)}"]
        cells += [] if alone else [times(line.ratio.median) if line.ratio else ""]
        cells += [_percent(line.of_floor), _percent(line.cpu_of_floor)] if floor else []
        cells += [human(one.median) if (one := line.spreads.get(m["key"])) else "" for m in metrics[1:]]
        rows.append([*cells, who[line.name]["durable"]])
    return rows


def as_text(found: dict[str, Any]) -> str:
    parts = [f"{found['title']}", _where(found), ""]
    for workload in found["workloads"]:
        parts += [f"  {workload['title']}", *_aligned(table(found, workload)), ""]
    titles = {one["name"]: one["title"] for one in found["contenders"]}
    parts += [f"  {titles[name]}: not measured: {why}" for name, why in absent(found).items()]
    return "\n".join(parts)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    full = [row for row in rows if len(row) == len(rows[0])]
    widths = [max(len(row[i]) for row in full) for i in range(len(rows[0]))]
    widths[0] = max(len(row[0]) for row in rows)
    return [
        "    "
        + "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=False))])
        for row in rows
    ]


def as_markdown(found: dict[str, Any]) -> str:
    """A case for the documentation: its method, a table for each workload, versions."""
    parts = [f"### {found['title']}", "", found["method"], "", f"_{_where(found)}_", ""]
    for workload in found["workloads"]:
        rows = table(found, workload)
        width = len(rows[0])
        parts += [f"**{workload['title']}**", "", _cells(rows[0]), "|" + " --- |" * width]
        parts += [_cells([*row, *[""] * (width - len(row))]) for row in rows[1:]]
        parts.append("")
    missing = absent(found)
    about = {one["title"]: _about(one, missing.get(one["name"], "")) for one in found["contenders"]}
    parts += [f"- {title}: {text}" for title, text in about.items() if text]
    return "\n".join([*parts, ""])


def _about(one: dict[str, str], why: str) -> str:
    return f"not measured: {why}" if why else "; ".join(text for text in (one["version"], one["note"]) if text)


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _where(found: dict[str, Any]) -> str:
    on = found["machine"]
    quick = "A QUICK TRIAL, its figures mean nothing. " if found["quick"] else ""
    return (
        f"{quick}rounds: {found['rounds']} (medians), {found['at'][:10]}; {on['processor']}, {on['cores']} cores, "
        f"{on['memory']}, {on['kernel']}, files on {on['disk']}; load before: {on['load before']}"
    )
