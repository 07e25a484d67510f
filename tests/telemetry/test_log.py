import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys
from eventstream.telemetry import log
log.configure(**{options})
logger = log.get_logger("room")
log.request_id.set("r-1")
logger.info("first", number=7, text="a\\x1b[31m\\nb")
logger.debug("not at this level")
logging.getLogger("gunicorn.error").warning("worker %s", 9, extra={"owner": "shop"})
try:
    secret = "s3cr3t-in-a-variable"
    raise ValueError("went wrong")
except ValueError:
    logger.exception("failed")
"""


def run(**options):
    code = PROGRAM.replace("{options}", repr(options))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)


def test_json_lines_carry_their_origin():
    done = run(level="info", format="json")
    assert done.stdout == ""
    first, foreign, failed = map(json.loads, done.stderr.splitlines())
    assert (first["event"], first["number"], first["level"]) == ("first", 7, "info")
    assert first["logger"] == "eventstream.room"
    assert first["request_id"] == foreign["request_id"] == "r-1"
    assert first["pid"] == foreign["pid"]
    assert first["timestamp"].endswith("Z")
    assert (foreign["event"], foreign["level"], foreign["logger"]) == ("worker 9", "warning", "gunicorn.error")
    assert foreign["owner"] == "shop"
    assert "ValueError: went wrong" in failed["exception"]
    assert "s3cr3t" not in done.stderr


def test_auto_is_json_where_no_terminal_is():
    assert run(format="auto").stderr.startswith("{")


def test_the_console_shows_no_variables_and_no_control_characters():
    done = run(level="debug", format="console")
    assert "first" in done.stderr
    assert "not at this level" in done.stderr
    assert "\x1b[31m" not in done.stderr
    assert "ValueError: went wrong" in done.stderr
    assert "s3cr3t" not in done.stderr.replace('secret = "s3cr3t-in-a-variable"', "")


def test_a_file_takes_the_lines_instead(tmp_path):
    done = run(format="json", file=str(tmp_path / "log"))
    assert done.stderr == ""
    assert len((tmp_path / "log").read_text().splitlines()) == 3


def test_a_file_that_cannot_be_written_is_a_located_error(tmp_path):
    done = run(file=str(tmp_path / "none" / "log"))
    assert "ConfigError" in done.stderr
    assert "cannot write the log" in done.stderr
    assert "/server/log/file" in done.stderr


@pytest.mark.parametrize(("level", "lines"), [("debug", 4), ("warning", 2), ("error", 1)])
def test_levels(level, lines):
    assert len(run(level=level, format="json").stderr.splitlines()) == lines
