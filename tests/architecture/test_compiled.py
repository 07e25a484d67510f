import os

import pytest

from eventstream.runtime import send
from eventstream_plugins.sqlite import native


@pytest.mark.skipif(not os.environ.get("EVENTSTREAM_ALL_TOOLS"), reason="optional, where no compiler is promised")
def test_with_a_compiler_both_compiled_modules_are_there():
    assert send.COMPILED
    assert native.commits("", "FULL") is not None
