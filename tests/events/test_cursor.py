import pytest

from eventstream.errors import CursorError
from eventstream.events.cursor import Cursor


@pytest.mark.parametrize("cursor", [Cursor("a", 0), Cursor("5k0eermq", 1), Cursor("z" * 32, 2**63 - 1)])
def test_a_cursor_is_read_back(cursor):
    assert Cursor.parse(str(cursor)) == cursor
    assert len(str(cursor).encode()) <= 128


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "-1", "a-", "a--1", "a-01", "a-+1", "a-1 ", " a-1", "a-1\n", "A-1", "a-1-1", "a_b-1", "ä-1",
        "a-1.0", "a-٣",
        "z" * 33 + "-1", f"a-{2**63}", "a-" + "9" * 19, "a-" + "9" * 5000, "\0-1",
    ],
)  # fmt: skip
def test_anything_else_is_no_cursor(text):
    with pytest.raises(CursorError):
        Cursor.parse(text)


def test_a_cursor_needs_no_preflight():
    """Bytes that CORS calls unsafe would make a browser preflight the reconnect."""
    assert set(str(Cursor("5k0eermq", 123))) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
