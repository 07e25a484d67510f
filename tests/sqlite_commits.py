"""The two ways in which the store `sqlite` commits: in one native call, and in Python."""

import pytest

from eventstream_plugins.sqlite import native

COMPILED = native.commits("", "FULL") is not None


def choose(name, monkeypatch):
    """Let stores that are opened from now on, also in child processes, commit in this way; skip what is not there."""
    if name == "native" and not COMPILED:
        pytest.skip("_native.c is not compiled here")
    monkeypatch.setenv("EVENTSTREAM_PURE", str(int(name == "pure")))


@pytest.fixture(params=["native", "pure"])
def commits(request, monkeypatch):
    """Run the test in both ways."""
    choose(request.param, monkeypatch)
    return request.param
