import os
import shutil

import pytest
from docs.markdown import PAGES, ROOT, blocks
from docs.session import Session

README = ROOT / "README.md"
MISSING = shutil.which("curl") is None and not os.environ.get("EVENTSTREAM_ALL_TOOLS")
needs_curl = pytest.mark.skipif(MISSING, reason="the pages speak to the server with curl, which is not installed")
RUN = [page for page in PAGES if page != README and blocks(page, "console")]


def run(page, folder):
    session = Session(folder)
    try:
        for block in blocks(page):
            session.run(block)
    finally:
        session.close()


@needs_curl
def test_the_readme_shows_what_happens(tmp_path):
    assert len(blocks(README, "console")) >= 4
    run(README, tmp_path)


@needs_curl
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_pages_show_what_happens(page, tmp_path):
    run(page, tmp_path)


def test_a_page_that_shows_something_else_fails(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```console\n$ echo two\none\n```\n")
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(AssertionError, match=r"(?s)one.*but this is printed:\ntwo"):
        run(page, folder)


def test_a_place_must_stand_for_one_place(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```console\n$ echo aaaaaaaa-1 bbbbbbbb-1\ncccccccc-1 cccccccc-1\n```\n")
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(AssertionError, match="cccccccc stood for aaaaaaaa, and now for bbbbbbbb"):
        run(page, folder)
