import re

import pytest
from docs.markdown import PAGES, ROOT, blocks

from eventstream.cli.main import BUILT_IN
from eventstream.hooks.catalogue import build_catalogue
from eventstream.hooks.manager import load_plugins

COMMAND = re.compile(r"\beventstream (?:--plugin \S+ )?([a-z]+(?:-[a-z]+)*)\b")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_name_commands_that_exist(page):
    known = {command.name for command in BUILT_IN} | set(build_catalogue(load_plugins()).offers["command"])
    shown = blocks(page, "sh", "console")
    prose = re.findall(r"`(eventstream [^`]*)`", page.read_text())
    named = {name for text in [*prose, *(block.text for block in shown)] for name in COMMAND.findall(text)}
    assert named - known == set()
