"""Envelopes and signatures held against libraries nobody here wrote, with the very code that the pages show."""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from clients.web import serve_pages
from docs.markdown import ROOT, blocks

from eventstream.testing.process import ServerProcess

CHROMIUM = "/usr/bin/chromium"
PAGE = ROOT / "docs" / "reference" / "envelope.md"
VECTORS = json.loads((ROOT / "docs" / "reference" / "envelope-vectors.json").read_text())
LATEST = [vector for vector in VECTORS["vectors"] if vector["sealed"]["data"]["eventstream-envelope"] == 1]
KEYS = {kid: key["private"] for kid, key in VECTORS["keys"].items()}
CONFIG = """
version: 1
server: {workers: 1}
store:
  memory: {}
keys:
  warehouse: {curve25519: "%s"}
keyring:
  file: {path: keys/keyring.json, master_file: keys/master.key}
pipelines:
  - name: default
    steps:
      - encrypt: {to: [warehouse]}
      - sign: {key: server}
      - persist
      - fan_out
outputs:
  - sse
routes:
  - jwks
"""


def shown(name):
    """Return the file that the page tells its reader to write."""
    (block,) = [block for block in blocks(PAGE) if block.directive == f"file: {name}"]
    return block.text


@pytest.fixture(scope="module")
def library(run_client, node):
    """A function that asks the JavaScript side."""
    (node / "node" / "open-envelope.mjs").write_text(shown("open-envelope.mjs"))
    client = run_client("envelope.mjs")

    def ask(**question):
        count = len(client.lines)
        client.tell(question)
        return client.wait(lambda lines: lines[count:], "an answer")[0]

    return ask


@pytest.mark.parametrize("vector", LATEST, ids=lambda one: one["name"])
def test_libsodium_wrappers_opens_the_vectors(library, vector):
    for one in vector["sealed"]["data"]["recipients"]:
        answer = library(sealed=vector["sealed"], kid=one["kid"], key=KEYS[one["kid"]])
        assert answer == {"event": vector["event"]}


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda one: one["name"])
def test_libsodium_wrappers_refuses_the_altered_ones(library, vector):
    for one in vector["sealed"]["data"]["recipients"]:
        assert "error" in library(sealed=vector["sealed"], kid=one["kid"], key=KEYS[one["kid"]])


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """A function that runs the page's Python script; returns status and the opened event."""
    file = tmp_path_factory.mktemp("script") / "open_envelope.py"
    file.write_text(shown("open_envelope.py"))

    def run(kid, *sealed):
        lines = "".join(json.dumps(one) + "\n" for one in sealed)
        words = [sys.executable, "-I", file, kid, KEYS[kid]]
        done = subprocess.run(words, input=lines, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    return run


def test_pynacl_opens_the_vectors(script):
    for kid in KEYS:
        mine = [one for one in LATEST if kid in [reader["kid"] for reader in one["sealed"]["data"]["recipients"]]]
        assert mine
        assert script(kid, *(one["sealed"] for one in mine)) == (0, [one["event"] for one in mine])


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda one: one["name"])
def test_pynacl_refuses_the_altered_ones(script, vector):
    status, opened = script("warehouse", vector["sealed"])
    assert (status != 0, opened) == (True, [])


def test_a_browser_page_opens_the_vectors(node, run_client, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    shutil.copy(Path(__file__).with_name("pages") / "envelope.html", site)
    shutil.copy(PAGE.with_name("envelope-vectors.json"), site)
    (site / "open-envelope.mjs").write_text(shown("open-envelope.mjs"))
    (site / "node_modules").symlink_to(node / "node_modules")
    with serve_pages(site) as origin:
        page = run_client("browser.mjs", CHROMIUM, tmp_path / "profile", f"{origin}/envelope.html")
        page.wait(lambda lines: lines and lines[-1].get("done"), "the page to end")
    answers = {(line["name"], line["kid"]): line for line in page.lines[:-1]}
    assert len(answers) == sum(
        len(one["sealed"]["data"]["recipients"]) for one in VECTORS["vectors"] + VECTORS["refused"]
    )
    for vector in LATEST:
        for one in vector["sealed"]["data"]["recipients"]:
            assert answers[vector["name"], one["kid"]].get("event") == vector["event"]
    names = {vector["name"] for vector in LATEST}
    assert all("error" in line for (name, _), line in answers.items() if name not in names)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that encrypts for the warehouse and signs."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "pipelines.yaml").write_text(CONFIG % VECTORS["keys"]["warehouse"]["public"])
    (folder / "keys").mkdir(mode=0o700)
    for words in (["master"], ["new", "ed25519", "--owner", "server", "--purpose", "sign"]):
        command = [sys.executable, "-m", "eventstream", "keys", *words]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    with ServerProcess(folder / "pipelines.yaml", workers=1) as server:
        yield server


DATA = [{"z": 1.0, "a": [1e21, 1e-7, 0.1, -0.0, 5e-324]}, "ü\u2028 🐍", None, {"ﬁ": 1, "🐍": 2, "é": 3}]


@pytest.mark.parametrize("data", DATA, ids=repr)
def test_what_the_server_seals_and_signs_they_open_and_verify(server, library, script, data):
    with httpx.Client(base_url=server.url, timeout=10) as client:
        receipt = client.post("/events", json={"type": "shop.order", "subject": "é", "data": data}).json()
        (sealed,) = [one for one in client.get("/events?after=earliest").json()["events"] if one["id"] == receipt["id"]]
        (key,) = client.get("/.well-known/jwks.json").json()["keys"]
    assert sealed["signaturekey"] == key["kid"]
    public = base64.b64encode(base64.urlsafe_b64decode(key["x"] + "=")).decode()
    assert library(verify=sealed, key=public) == {"verified": True}
    for altered in ({**sealed, "subject": "e"}, {**sealed, "more": 1}):
        assert library(verify=altered, key=public) == {"verified": False}
    opened = library(sealed=sealed, kid="warehouse", key=KEYS["warehouse"])["event"]
    assert (opened["data"], opened["subject"]) == (data, "é")
    assert script("warehouse", sealed)[1][0]["data"] == data
