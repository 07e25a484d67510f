"""Builds sdist and wheel, looks inside, installs the wheel in an empty environment elsewhere, and serves one event.

Run by `tox -e package`: `python tests/package.py FOLDER`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIG = """
version: 1
store:
  sqlite: {path: data/events.db}
pipelines:
  - name: default
    steps: [limit, persist, fan_out]
outputs:
  - sse
  - websocket
"""
FOREIGN = ("tests/", "docs/", "bench/", "examples/")
SECONDS = 30


def build(folder: Path) -> Path:
    """Return the wheel, built from the sdist as pip would."""
    out = folder / "dist"
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "build", "--outdir", out, ROOT], check=True, stdout=subprocess.DEVNULL)
    (sdist,) = out.glob("*.tar.gz")
    (wheel,) = out.glob("*.whl")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "plugins/sse.py"} <= names, names
    return wheel


def look_inside(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        f"{package}/{file.relative_to(folder)}"
        for package, folder in (("eventstream", ROOT / "eventstream"), ("eventstream_plugins", ROOT / "plugins"))
        for file in folder.rglob("*")
        if file.suffix in (".py", ".pyi") or file.name == "py.typed"
    }
    compiled = {name.replace(".pyi", ".abi3.so") for name in wanted if name.endswith(".pyi")}
    found = {name for name in names if ".dist-info/" not in name}
    if shutil.which("cc"):
        wanted |= compiled
    assert found == wanted, f"missing {wanted - found}, foreign {found - wanted}"
    assert any(name.endswith("licenses/LICENSE") for name in names), names
    assert not [name for name in names if name.startswith(FOREIGN)]


def install(wheel: Path, folder: Path) -> Path:
    """Return the folder of the programs."""
    venv.create(folder, clear=True, with_pip=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", wheel], check=True)
    return folder / "bin"


def serve_one_event(programs: Path, folder: Path) -> None:
    (folder / "pipelines.yaml").write_text(CONFIG)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [programs / "eventstream"]
    subprocess.run([*command, "check"], cwd=folder, env=environ, check=True)
    log = folder / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [*command, "serve", "--bind", "127.0.0.1:0"], cwd=folder, env=environ, stdout=out, stderr=out
        )
    try:
        publish_and_read(f"http://127.0.0.1:{port_in(log)}/events")
    except BaseException:
        sys.stdout.write(log.read_text())
        raise
    finally:
        server.terminate()
        status = server.wait(SECONDS)
    assert status == 0, f"the server ended with {status}"


def port_in(log: Path) -> int:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        found = re.search(r"Listening at: http:\S+?:(\d+)\b", log.read_text())
        if found:
            return int(found[1])
        time.sleep(0.05)
    raise TimeoutError(f"the server does not listen:\n{log.read_text()}")


def publish_and_read(url: str) -> None:
    body = b'{"type": "packaged", "data": 1}'
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        receipt = json.load(answer)
        assert answer.status == 201, answer.status
    stream = urllib.request.Request(f"{url}?after=earliest", headers={"Accept": "text/event-stream"})
    with urllib.request.urlopen(stream, timeout=SECONDS) as answer:
        for line in answer:
            if line.startswith(b"data: {") and b'"id"' in line:
                assert json.loads(line[6:])["id"] == receipt["id"]
                return
    raise AssertionError("the stream ended without the event")


def main() -> None:
    folder = Path(sys.argv[1])
    wheel = build(folder)
    look_inside(wheel)
    programs = install(wheel, folder / "installed")
    with tempfile.TemporaryDirectory() as elsewhere:
        serve_one_event(programs, Path(elsewhere))
    sys.stdout.write(f"{wheel.name}: complete, installs, checks and serves\n")


if __name__ == "__main__":
    main()
