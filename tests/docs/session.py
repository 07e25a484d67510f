"""Runs a page's `console` blocks against a real server, as its reader would, and compares what they print.

Directives, in a comment just before a block:

    <!-- serve -->                    this yaml block is pipelines.yaml from here on (else the shipped file)
    <!-- serve with NAME=value … -->  the same, with variables of the environment
    <!-- file: PATH -->               this block is a file beside it
    <!-- stream -->                   the command goes on: wait until it has printed what stands here
    <!-- stream goes on -->           wait until the last stream has printed this as well
    <!-- not run -->                  left out

Places, ids, times and keys differ in each run. They are matched by kind, and what stood for one of them
once stands for it everywhere, also in later commands.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

from docs.markdown import ROOT, Block

from eventstream.testing.process import ServerProcess, wait_for

KINDS = {
    "ticket": r'(?<="ticket":")[\w-]{43}|(?<=[?&]ticket=)[\w-]{43}',
    "epoch": r"\b[0-9a-z]{8}(?=-\d+\b)",
    "time": r"\d{4}-\d\d-\d\dT[\d:]+(?:\.\d+)?Z",
    "id": r"\b[0-9a-f]{32}\b|\b[0-9a-f]{16}\b|\b[0-9a-f]{12}\b",
    "retry": r"(?<=retry: )\d+",
    "date": r"(?<=Date: )[^\r\n]+",
    "left": r"(?<=;r=)\d+|(?<=;t=)\d+",
    "kid": r"\b[a-z]+-\d{8}-[a-z2-7]{6}(?![a-z0-9])",
    "token": r"(?<=_)[A-Za-z0-9_-]{43}\b(?![=/+])",
    "bytes": r"[A-Za-z0-9+/_-]{40,}={0,2}",
}
FREE = {"retry", "date", "left"}  # equal by chance; tells nothing
VARIABLE = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in KINDS.items()))


class Session:
    """One page, one folder, one server at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server: ServerProcess | None = None
        self.streams: list[Stream] = []
        self.environ: dict[str, str] = {}
        self.known: dict[str, str] = {}  # what stands in the page -> what it is in this run
        (folder / ".curlrc").write_text("silent\nshow-error\n")  # as on a terminal: no progress meter
        shutil.copy(ROOT / "pipelines.yaml", folder)
        shutil.copytree(ROOT / "schemas", folder / "schemas")

    def run(self, block: Block) -> None:
        if block.directive == "not run":
            return
        if block.directive.startswith("file: "):
            file = self.folder / block.directive.removeprefix("file: ")
            file.parent.mkdir(exist_ok=True)
            file.write_text(block.text)
        elif block.directive.startswith("serve"):
            (self.folder / "pipelines.yaml").write_text(block.text)
            self.close()
            self.environ = dict(word.split("=", 1) for word in block.directive.split()[2:])
        elif block.directive == "stream goes on":
            self.compare(block, block.text, self.streams[-1].take(block.text))
        elif block.language == "console":
            self._console(block)

    def _console(self, block: Block) -> None:
        if self.server is None and ":3000" in block.text:
            self.server = ServerProcess(self.folder / "pipelines.yaml", environ=self._environ())
            self.server.start()
        for command, expected in commands(block.text):
            words = self._present(command)
            environ = {name: value for name, value in self._environ().items() if name != "EVENTSTREAM_PLUGINS"}
            if block.directive == "stream":
                self.streams.append(Stream(words, self.folder, environ))
                self.compare(block, expected, self.streams[-1].take(expected))
            else:
                done = subprocess.run(
                    ["sh", "-c", words], cwd=self.folder, env=environ,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False,
                )  # fmt: skip
                self.compare(block, expected, done.stdout.decode())

    def close(self) -> None:
        for stream in self.streams:
            stream.close()
        self.streams.clear()
        if self.server is not None:
            self.server.stop()
            self.server = None

    def compare(self, block: Block, expected: str, printed: str) -> None:
        """Hold what was printed against the page; raises AssertionError that shows both."""
        port = self.server.port if self.server is not None else 3000
        actual = printed.replace(f":{port}", ":3000").replace(f"{self.folder}/", "")
        actual = actual.replace("\r\n", "\n").strip("\n")
        expected = expected.strip("\n")
        here, there = [VARIABLE.sub(_kind, text) for text in (expected, actual)]
        assert here == there, f"{block.place} shows\n{expected}\n\nbut this is printed:\n{actual}"
        for one, other in zip(VARIABLE.finditer(expected), VARIABLE.finditer(actual), strict=True):
            if one.lastgroup not in FREE:
                before = self.known.setdefault(one[0], other[0])
                assert before == other[0], f"{block.place}: {one[0]} stood for {before}, and now for {other[0]}"

    def _present(self, text: str) -> str:
        """Put this run's values into a command of the page."""
        if self.server is not None:
            text = text.replace(":3000", f":{self.server.port}")
        return VARIABLE.sub(lambda found: self.known.get(found[0], found[0]), text)

    def _environ(self) -> dict[str, str]:
        """Return the reader's environment. A value that starts with `./` is a file beside pipelines.yaml."""
        own = {
            name: str(self.folder / value) if value.startswith("./") else value for name, value in self.environ.items()
        }
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return os.environ | own | {"CURL_HOME": str(self.folder), "PATH": path}


class Stream:
    """A command that goes on printing."""

    def __init__(self, command: str, folder: Path, environ: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["sh", "-c", command], cwd=folder, env=environ, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._lines: list[str] = []
        self._taken = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line.decode())

    def take(self, expected: str) -> str:
        """Return as many further lines as are expected, and the blank ones behind them."""
        wanted = len(expected.strip("\n").splitlines())
        while self._lines[self._taken : self._taken + 1] == ["\n"]:
            self._taken += 1
        end = self._taken + wanted
        try:
            wait_for(lambda: len(self._lines) >= end, f"{wanted} more lines", seconds=10)
        except TimeoutError:
            end = len(self._lines)
        lines, self._taken = self._lines[self._taken : end], end
        return "".join(lines)

    def close(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


def _kind(found: re.Match[str]) -> str:
    return f"<{found.lastgroup}>"


def commands(text: str) -> list[tuple[str, str]]:
    """Split a console block into commands (`$ …`, up to the end of its quotes and backslashes) and what they print."""
    found: list[tuple[str, str]] = []
    command: list[str] | None = None
    for line in text.splitlines():
        if line.startswith("$ "):
            command = []
        if command is not None:
            command.append(line.removeprefix("$ ") if not command else line)
            if not line.endswith("\\") and "\n".join(command).count("'") % 2 == 0:
                found.append(("\n".join(command), ""))
                command = None
        else:
            found[-1] = (found[-1][0], f"{found[-1][1]}{line}\n")
    return found
