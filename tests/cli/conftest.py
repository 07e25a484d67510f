"""The program as a process."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from eventstream.cli.main import main


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


@pytest.fixture
def program(tmp_path, monkeypatch, capsys):
    """Run the program in this process, in tmp_path: a second faster than a process of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*words, **environ):
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        try:
            status = main(words)
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return SimpleNamespace(returncode=status, stdout=out, stderr=err)

    return run
