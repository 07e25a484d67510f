import json

from eventstream.config.report import count, errors_in, render_problems
from eventstream.errors import Problem

PROBLEMS = [
    Problem("50% wrong,\nreally", "/a/0", "do: right", "p,q.yaml", 3, 7),
    Problem("odd", severity="warning"),
]


def test_text():
    assert render_problems(PROBLEMS, "text") == (
        "p,q.yaml:3:7: error: 50% wrong,\nreally (do: right) [/a/0]\nwarning: odd\n"
    )


def test_json():
    report = json.loads(render_problems(PROBLEMS, "json"))
    assert report["ok"] is False
    assert report["problems"][0] == {
        "message": "50% wrong,\nreally", "pointer": "/a/0", "hint": "do: right", "file": "p,q.yaml",
        "line": 3, "column": 7, "severity": "error",
    }  # fmt: skip
    assert json.loads(render_problems(PROBLEMS[1:], "json"))["ok"] is True


def test_github_commands_are_escaped():
    assert render_problems(PROBLEMS, "github") == (
        "::error file=p%2Cq.yaml,line=3,col=7,title=/a/0::50%25 wrong,%0Areally (do: right)\n::warning ::odd\n"
    )


def test_counts():
    assert count(PROBLEMS) == "1 error, 1 warning"
    assert count(PROBLEMS[:1] * 2) == "2 errors"
    assert count([]) == ""
    assert errors_in(PROBLEMS) == 1
