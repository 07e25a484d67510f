"""The Autobahn suite, as PyPI `kosoku` carries it, against the echo output."""

import json
import subprocess
import sys
from pathlib import Path

KOSOKU = Path(sys.executable).with_name("kosoku")
COMPRESSION = ("12.*", "13.*")  # never negotiated


def test_every_case_but_compression_passes(server, tmp_path):
    report = tmp_path / "report"
    without = [word for cases in COMPRESSION for word in ("-x", cases)]
    command = [KOSOKU, *without, "-o", report, f"ws://{server}/echo"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    (cases,) = json.loads((report / "index.json").read_text()).values()
    assert len(cases) >= 301
    wanted = {"OK", "INFORMATIONAL"}
    assert {name: case for name, case in cases.items() if case["behavior"] not in wanted} == {}
