"""`python -m bench CASE …`: run cases, print what they gave, keep it as JSON and as charts."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import chart, report
from bench.cases import CASES
from bench.study import Scale, run_case

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "performance.md"
BEGIN, END = "<!-- begin figures -->", "<!-- end figures -->"


def say(text: str) -> None:
    """Progress, apart from what is printed as the result."""
    print(text, file=sys.stderr, flush=True)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, epilog=_about_cases(),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("cases", nargs="+", metavar="CASE", choices=[*CASES, "all", "docs"], help="see below")
    parser.add_argument("--rounds", type=int, default=5, help="how often everybody has a turn (default: 5)")
    parser.add_argument(
        "--quick", action="store_true", help="little work: to try the benchmark out, its figures mean nothing"
    )
    parser.add_argument("--only", default="", help="names of contenders, with commas (default: everybody)")
    parser.add_argument(
        "--results", type=Path, default=report.RESULTS, help="where results are kept (default: bench/results)"
    )
    given = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds: no server is left behind
    if given.cases == ["docs"]:
        write_docs(given.results / "latest")
        return 0
    names = list(CASES) if "all" in given.cases else given.cases
    for name in names:
        study = run_case(
            CASES[name], Scale(given.rounds, given.quick), say, [one for one in given.only.split(",") if one]
        )
        found = report.as_json(study)
        path = report.write(found, given.results)
        (given.results / "latest" / f"{name}.svg").write_text(chart.draw(found))
        print(report.as_text(found))
        say(f"kept in {path}")
    return 0


def _about_cases() -> str:
    rows = [f"  {name:<12}{case.title}" for name, case in CASES.items()]
    return "\n".join(
        ["cases:", *rows, "  all         all of them", "  docs        put the latest results into the documentation"]
    )


def write_docs(latest: Path) -> None:
    """Write the latest results into the page on performance, between its two marks."""
    found = {path.stem: json.loads(path.read_text()) for path in latest.glob("*.json")}
    parts = []
    for name in (name for name in CASES if name in found):
        parts += [
            report.as_markdown(found[name]),
            f"![{found[name]['title']}](../../bench/results/latest/{name}.svg)",
            "",
        ]
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text("\n".join([before + BEGIN, "", *parts, END]) + rest.partition(END)[2])


if __name__ == "__main__":
    raise SystemExit(main())
