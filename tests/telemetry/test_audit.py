"""The audit log: bounded by kind, what is held back is told, and a file of its own."""

import json
import logging
import subprocess
import sys

import pytest

from eventstream import Identity
from eventstream.errors import ConfigError
from eventstream.telemetry import log as logging_of_ours
from eventstream.telemetry.audit import Audit
from eventstream.testing.deadline import Clock


class Lines(list):
    """A logger that keeps its lines."""

    def info(self, event, **facts):
        self.append((event, facts))


def test_a_line_says_who():
    lines = Lines()
    audit = Audit(lines, 10)
    audit.note("published", Identity("shop", "jwt", ("token:secret",)), events=2)
    audit.note("published", None, events=1)
    assert lines == [
        ("published", {"identity": "shop", "by": "jwt", "events": 2}),
        ("published", {"identity": None, "events": 1}),
    ]


def test_each_kind_has_a_rate_of_its_own_and_the_rest_is_counted():
    lines, clock = Lines(), Clock(0.0)
    audit = Audit(lines, 3, clock)
    for _ in range(10):
        audit.note("published", None)
    audit.note("refused", None)
    assert [event for event, _ in lines] == ["published"] * 3 + ["refused"]
    audit.flush()
    audit.flush()
    assert lines[4:] == [("held_back", {"of": "published", "lines": 7})]
    clock.advance(1 / 3)
    audit.note("published", None)
    audit.note("published", None)
    assert len(lines) == 6
    clock.advance(3600)
    for _ in range(10):
        audit.note("published", None)
    assert len(lines) == 9


def test_a_rate_below_one_a_second_writes_some():
    lines, clock = Lines(), Clock(0.0)
    audit = Audit(lines, 1 / 60, clock)
    for _ in range(120):
        clock.advance(1)
        audit.note("left", None)
    assert len(lines) == 2


SCRIPT = """
import logging, sys
from eventstream.telemetry.log import configure, configure_audit, get_logger
configure(level="error", format="json")
configure_audit(file=sys.argv[1], max_size=10**6)
get_logger("audit").info("published", identity="shop")
logging.getLogger("eventstream.audit").info("key_changed", extra={"kid": "k1"})
configure_audit()
get_logger("audit").info("reloaded")
get_logger("node").info("unwanted")
"""


def test_lines_go_to_a_file_of_their_own_whatever_the_level(tmp_path):
    file = tmp_path / "audit.log"
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(file)], capture_output=True, text=True, check=True, timeout=30
    )
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["event"], line.get("identity"), line.get("kid")) for line in lines] == [
        ("published", "shop", None),
        ("key_changed", None, "k1"),
    ]
    assert {line["logger"] for line in lines} == {"eventstream.audit"}
    assert [json.loads(line)["event"] for line in ran.stderr.splitlines()] == ["reloaded"]


def test_a_file_that_cannot_be_written_changes_nothing(tmp_path):
    before = list(logging.getLogger("eventstream.audit").handlers)
    with pytest.raises(ConfigError, match="cannot write the log") as caught:
        logging_of_ours.configure_audit(file=str(tmp_path / "missing" / "audit.log"))
    assert caught.value.problems[0].pointer == "/server/audit/file"
    assert logging.getLogger("eventstream.audit").handlers == before
