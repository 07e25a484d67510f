"""The master: what its workers inherit."""

import re
from pathlib import Path

from eventstream.testing.process import ServerProcess

CONFIG = """
version: 1
store: {sqlite: {path: data/events.db}}
pipelines:
  - {name: default, steps: [persist, fan_out]}
outputs: [sse]
"""


def test_a_worker_keeps_sharing_what_it_inherited(tmp_path):
    (tmp_path / "pipelines.yaml").write_text(CONFIG)
    with ServerProcess(tmp_path / "pipelines.yaml", workers=1) as server:
        (pid,) = server.workers()
        memory = dict(re.findall(r"(\w+): +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text()))
    assert int(memory["Shared_Dirty"]) > 1.3 * int(memory["Private_Dirty"])  # 0.5 when garbage is looked for in it
