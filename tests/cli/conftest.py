"""The program as a process."""

import os
import subprocess
import sys

import pytest


@pytest.fixture
def eventstream(tmp_path):
    """Run `python -m eventstream …` in tmp_path and return the finished process."""

    def run(*words, **environ):
        plain = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "PYTHONPATH")}
        command = [sys.executable, "-W", "error", "-m", "eventstream", *words]
        return subprocess.run(
            command, cwd=tmp_path, env=plain | environ, capture_output=True, text=True, timeout=60, check=False
        )

    return run
