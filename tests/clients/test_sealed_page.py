"""The example `sealed-page` as its README has it, used in Debian's Chromium."""

import base64
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from eventstream.testing.process import ServerProcess, wait_for

CHROMIUM = "/usr/bin/chromium"
ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "sealed-page"
VECTORS = ROOT / "docs" / "reference" / "envelope-vectors.json"
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Browser:
    """Chromium, used by what its reader sees: labels, buttons, text."""

    def __init__(self, lines):
        self._lines = lines
        self._asked = 0

    def __call__(self, page, act, *given):
        self._lines.tell({"page": page, "act": act, "with": given})
        self._asked += 1
        answer = self._lines.wait(lambda lines: lines[self._asked - 1 : self._asked], f"{page}: {act} {given}")[0]
        assert "error" not in answer, f"{page}: {act} {given}: {answer['error']}\n{self._lines.errors()}"
        return answer["value"]


class Example:
    """The example in a folder of its own: its server behind a proxy, its page on another origin, its API key."""

    def __init__(self, folder, cutting_proxy):
        self.folder = folder
        prepare, serve_page = BLOCK.findall((EXAMPLE / "README.md").read_text())
        *commands, serve = prepare.splitlines()
        assert serve == "eventstream serve"
        printed = "".join(self.run(command) for command in commands)
        (self.key,) = re.findall(r"^esk_\S+$", printed, re.MULTILINE)
        self._web = self._serve_page(serve_page)
        self.origin = re.search(r"\((http://\S+?)/\)", self._web.stdout.readline())[1]
        self.server = ServerProcess(folder / "pipelines.yaml", environ={"CORS_ORIGINS": self.origin})
        self.server.start()
        self.proxy = cutting_proxy(self.server.port)

    def run(self, command):
        """Run a command of the README."""
        done = subprocess.run(
            command.split(), cwd=self.folder, env=os.environ | {"PATH": PATH}, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def _serve_page(self, command):
        python, *words = command.replace(" 8000 ", " 0 ").split()
        assert python == "python3"
        return subprocess.Popen(
            [sys.executable, "-u", *words],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def close(self):
        self.server.stop()
        self._web.kill()
        self._web.wait()
        self._web.stdout.close()

    def send(self, text):
        """Publish a letter, as any program with the API key may."""
        body = {"type": "letter.sent", "source": "/post", "data": {"text": text}}
        answer = httpx.post(f"{self.server.url}/events", json=body, headers={"Authorization": f"Bearer {self.key}"})
        assert answer.status_code == 201, answer.text

    def history(self):
        url = f"{self.server.url}/events?type=letter.*&limit=1000"
        answer = httpx.get(url, headers={"Authorization": f"Bearer {self.key}"})
        assert answer.status_code == 200, answer.text
        return answer.json()["events"]


class Page:
    """One page, used by what its reader sees: labels, buttons, text."""

    def __init__(self, browser, name):
        self._browser = browser
        self._name = name

    def __call__(self, act, *given):
        return self._browser(self._name, act, *given)

    def begin(self, key, keyless=False):
        self("fill", "API key", key)
        if keyless:
            self("check", "without a key")
        self("press", "Begin")

    def state(self):
        return self("text", "status")

    def await_state(self, state):
        wait_for(lambda: self.state() == state, f"{self._name} to be {state}")

    def send(self, text):
        self("fill", "Letter", text)
        self("press", "Send")

    def items(self):
        """What it shows, oldest first: how it looks, what it says."""
        return [tuple(item) for item in reversed(self("items"))]

    def await_items(self, count):
        wait_for(lambda: len(self.items()) >= count, f"{count} items on {self._name}")
        return self.items()


@pytest.fixture(scope="module")
def example(tmp_path_factory, cutting_proxy):
    folder = tmp_path_factory.mktemp("example") / "sealed-page"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules", "keys", "data"))
    example = Example(folder, cutting_proxy)
    yield example
    example.close()


@pytest.fixture(scope="module")
def browser(run_client, tmp_path_factory):
    return Browser(run_client("pages.mjs", CHROMIUM, tmp_path_factory.mktemp("profile")))


@pytest.fixture
def visit(example, browser):
    """A function that opens the page: `visit(name)`, with `keyless` for one that registers none."""
    opened = []

    def start(name, **options):
        page = Page(browser, name)
        page("open", f"{example.origin}/?server={example.proxy.url}")
        opened.append(page)
        if "key" in options:
            return page
        page.begin(example.key, **options)
        page.await_state("connected")
        return page

    yield start
    for page in opened:
        page("close")


def opened(*texts):
    return [("opened", f"Opened: {text}") for text in texts]


def test_its_opener_keeps_to_the_published_envelopes(example, run_client):
    vectors = json.loads(VECTORS.read_text())
    client = run_client("opener.mjs", example.folder / "page" / "envelope.js", VECTORS)
    count = len(vectors["vectors"]) + len(vectors["refused"])
    client.wait(lambda lines: len(lines) == count, f"{count} answers")
    answers = {line.pop("name"): line for line in client.lines}
    for vector in vectors["vectors"]:
        envelope, answer = vector["sealed"]["data"], answers[vector["name"]]
        if envelope["eventstream-envelope"] == 0:
            assert answer == {"error": "Error"}
        elif "warehouse" not in {one["kid"] for one in envelope["recipients"]}:
            assert answer == {"error": "NotForUs"}
        else:
            assert answer == {"opened": vector["event"]}
    for vector in vectors["refused"]:
        assert answers[vector["name"]] == {"error": "Error"}, vector["name"]


def test_a_letter_is_opened_and_an_altered_one_refused(example, visit, tmp_path):
    text = f"at noon, {secrets.token_hex(16)} <b>é"
    page = visit("ann")
    assert page("focused") == "text"
    page.send(text)
    assert page.await_items(1) == opened(text)
    page("press", "Alter the last one")
    assert page.await_items(3)[1:] == [
        ("refused", "Refused: one bit of its text is altered: ciphertext cannot be decrypted using that key"),
        ("refused", "Refused: its subject is altered: ciphertext cannot be decrypted using that key"),
    ]
    assert Path(page("screenshot", str(tmp_path / "page.png"))).stat().st_size > 10_000
    (event,) = [one for one in example.history() if one["source"] == "/page"]
    assert event["data"]["eventstream-envelope"] == 1
    assert text not in json.dumps(event, ensure_ascii=False)
    files = [file for file in example.folder.rglob("*") if file.is_file() and "node_modules" not in file.parts]
    assert {"events.db", "keyring.json", "master.key", example.server.log_file.name} <= {file.name for file in files}
    for needle in (text[:-1], example.key):
        for form in (needle.encode(), base64.b64encode(needle.encode()).rstrip(b"=")[:-1]):
            assert [file for file in files if form in file.read_bytes()] == []


def test_every_page_has_a_key_of_its_own(example, visit):
    ann, bea, cal = visit("ann"), visit("bea"), visit("cal", keyless=True)
    bea.send("for both")
    assert bea.await_items(1) == opened("for both")
    assert ann.await_items(1) == opened("for both")
    assert cal.await_items(1) == [("sealed", "Sealed: for others")]
    dora = visit("dora")
    ann.send("for three")
    for page in (ann, bea):
        assert page.await_items(2) == opened("for both", "for three")
    assert dora.await_items(1) == opened("for three"), "what was sent before her key is not for her"
    assert cal.await_items(2) == [("sealed", "Sealed: for others")] * 2
    kids = {one("text", "code") for one in (ann, bea, dora)}
    assert len(kids) == 3
    assert kids <= {one["kid"] for one in example.history()[-1]["data"]["recipients"]}


def test_it_comes_back_to_its_place(example, visit):
    page = visit("ann")
    texts = []

    def send(count):
        for _ in range(count):
            texts.append(f"letter {len(texts)}")
            example.send(texts[-1])

    send(5)
    page.await_items(5)
    for _ in range(2):  # a plain end, a reset
        example.proxy.cut()
        send(5)  # while it is away
        assert page.await_items(len(texts)) == opened(*texts)
    assert example.server.stop() == 0
    page.await_state("away, coming back")
    example.server.start()
    send(5)
    page.await_state("connected")
    send(5)
    assert page.await_items(len(texts)) == opened(*texts)


def test_a_wrong_api_key_is_told(example, visit):
    page = visit("eve", key="wrong")
    page.begin("esk_page-20261123-abc234_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG")
    wait_for(lambda: page("text", "alert"), "a message")
    assert page("text", "alert") == "/crypto answers 401: the credential is not accepted"
    assert page.state() == "not connected"
    page.begin(example.key)
    page.await_state("connected")
    assert page("text", "alert") == ""


def test_a_revoked_api_key_ends_it(example, visit):
    """The last test of this module: the API key is gone."""
    page = visit("ann")
    example.run(f"eventstream keys revoke {example.key.split('_')[1]}")
    page.await_state("not connected")
    assert page("text", "alert") == "/tickets answers 401: the credential is not accepted"


def test_only_the_page_is_served(example):
    assert httpx.get(f"{example.origin}/page.js").status_code == 200
    for path in ("keys/master.key", "../keys/master.key", "%2e%2e/keys/master.key", "data/events.db"):
        assert httpx.get(f"{example.origin}/{path}").status_code == 404
