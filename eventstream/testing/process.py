"""A real server in processes of its own, for tests that look from outside."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

_LISTENING = re.compile(r"Listening at: \S+?:(\d+)[ ,]")


def wait_for(condition: Callable[[], Any], what: str, *, seconds: float = 15.0, step: float = 0.02) -> Any:
    """Return the first true value of `condition`; raises TimeoutError that says what did not come."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(step)


class ServerProcess:
    """`python -m eventstream serve` on a port of its own; use it as a context manager."""

    def __init__(
        self,
        config: str | Path,
        *,
        workers: int = 2,
        port: int = 0,
        plugins: tuple[str, ...] = (),
        environ: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        program: tuple[str, ...] = (sys.executable, "-m", "eventstream"),
        bind: bool = True,
    ) -> None:
        """Serve a configuration file. `prefix` is a command to run it under (strace, faketime).

        Without `bind` it listens where the file says.
        """
        self.config = Path(config)
        self.log_file = self.config.with_suffix(f".{time.monotonic_ns()}.log")
        words = [*prefix, *program]
        for plugin in plugins:
            words += ["--plugin", plugin]
        words += ["serve", str(self.config), "--workers", str(workers)]
        self._words = words
        self._bind = bind
        self._environ = {**os.environ, **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._begin = 0  # where this start's part of the log begins
        self.port = port  # kept over restarts

    def __enter__(self) -> Self:
        """Start, and wait until it answers."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, by force where it must be."""
        self.stop()

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def master(self) -> int:
        """The master's process id."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the process group and wait until every worker is up."""
        words = [*self._words, *(["--bind", f"127.0.0.1:{self.port}"] if self._bind else [])]
        with self.log_file.open("ab") as log:
            self._begin = log.tell()
            self._process = subprocess.Popen(  # noqa: S603  # our own words
                words, stdout=log, stderr=log, env=self._environ, start_new_session=True
            )
        self.port = int(wait_for(self._find_port, "the server to listen"))
        wait_for(lambda: len(self.workers()) >= int(self._words[-1]), "the workers")

    def _find_port(self) -> str | None:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"the server ended with {self._process.returncode}:\n{self.log()}")
        found = _LISTENING.findall(self.log()[self._begin :])
        return found[-1] if found else None

    def log(self) -> str:
        """Return everything logged so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log's lines of one event name."""
        lines = [line for line in self.log().splitlines() if line.startswith("{")]
        return [entry for entry in map(json.loads, lines) if entry.get("event") == name]

    def workers(self) -> list[int]:
        """Return the process ids of the workers that have their node built."""
        ready = {entry["pid"] for entry in self.events("worker_ready")}
        return sorted(pid for pid in _children(self.master) if pid in ready)

    def generation(self) -> int:
        """Return the generation that all workers run, 0 while they run different ones."""
        workers = self.workers()
        ready = {entry["pid"]: entry["generation"] for entry in self.events("worker_ready")}
        found = {ready[pid] for pid in workers}
        return found.pop() if len(found) == 1 else 0

    def signal(self, number: int) -> None:
        """Send a signal to the master."""
        os.kill(self.master, number)

    def kill_group(self) -> None:
        """Kill master and workers with -9, all at once."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self, seconds: float = 25.0) -> int:
        """Stop gracefully and return the exit status."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill_group()
            raise
        self._process = None
        return status


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(word) for word in text.split()]
