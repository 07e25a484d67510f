import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import eventstream

API = Path(__file__).parents[2] / "docs" / "reference" / "api.md"
HEAVY = {"falcon", "gevent", "gunicorn", "nacl", "jsonschema", "wsproto", "yaml"}


def test_the_promise_is_sorted_and_complete():
    promised = eventstream.__all__
    assert promised == sorted(promised, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    imported = {
        name for name in vars(eventstream) if not name.startswith("_") and not inspect.ismodule(vars(eventstream)[name])
    }
    assert set(promised) == imported


def test_the_reference_names_exactly_what_is_promised():
    named = {line.split("`")[1] for line in API.read_text().splitlines() if line.startswith("### `")}
    assert named == set(eventstream.__all__)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in eventstream.__all__
        if inspect.isroutine(getattr(eventstream, name)) or inspect.isclass(getattr(eventstream, name))
    ],
)
def test_everything_promised_is_documented(name):
    assert inspect.getdoc(getattr(eventstream, name))


def test_importing_the_front_door_is_cheap():
    code = "import eventstream, sys; print(' '.join(name for name in sys.modules if '.' not in name))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert HEAVY.isdisjoint(found.stdout.split())
