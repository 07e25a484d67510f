"""What `serve` spends before it serves: counted, since seconds tell of the machine."""

import json
import subprocess
import sys

# One fault, so that it ends where it would begin to serve: everything has been loaded and built by then.
CONFIG = """
version: 1
store: memory
pipelines:
  - {name: default, steps: [validate, limit, persist, fan_out]}
outputs: [sse, websocket]
fault: here
"""
SERVE = """
import json, sys
from collections import Counter
looked = Counter()
sys.addaudithook(lambda event, args: looked.update([str(args[0])]) if event == "open" else None)
from eventstream.cli.main import main
status = main(["serve", "pipelines.yaml"])
often = max((count for path, count in looked.items() if path.endswith("entry_points.txt")), default=0)
print(json.dumps({"status": status, "often": often, "modules": sorted(sys.modules)}))
"""


def serve(folder, text=CONFIG):
    (folder / "pipelines.yaml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", SERVE], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    assert "unknown section fault" in done.stderr
    return json.loads(done.stdout)


def test_what_is_installed_is_looked_at_for_plugins_and_for_each_generation_only(tmp_path):
    assert 1 <= serve(tmp_path)["often"] <= 2


def test_large_libraries_are_loaded_only_for_who_names_what_needs_them(tmp_path):
    loaded = serve(tmp_path)["modules"]
    assert "eventstream_plugins.validate" in loaded
    assert not {"jsonschema", "jsonschema_rs", "jwt", "cryptography"}.intersection(loaded)
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "shop.order.json").write_text("{}")
    assert {"jsonschema", "jsonschema_rs"} <= {*serve(tmp_path)["modules"]}
