"""Servers as process groups: start, wait, stop; CPU time and memory as the kernel counts them."""

import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")


class ServerFailed(Exception):
    """A server did not start, or ended by itself: says which, and the end of its log."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def file_limit() -> int:
    """The most files a process may have here."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise ServerFailed(f"waited {seconds:g} s for {what}")
        time.sleep(0.01)
    return value


def answers(port: int) -> bool:
    """Whether somebody listens on the port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """One program in a session of its own, its output in a log file."""

    def __init__(self, words: Sequence[str | Path], folder: Path, environ: Mapping[str, str] | None = None) -> None:
        self.words = [str(word) for word in words]
        self.log = folder / f"{Path(self.words[0]).name}.{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self._popen = subprocess.Popen(
                self.words, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, **(environ or {})},
            )  # fmt: skip
        self.pid = self._popen.pid

    def running(self) -> bool:
        if self._popen.poll() is not None:
            end = self.log.read_text(errors="replace")[-1500:]
            raise ServerFailed(f"{self.words[0]} ended with {self._popen.returncode}:\n{end}")
        return True

    def wait_port(self, port: int) -> None:
        wait_for(lambda: self.running() and answers(port), f"{self.words[0]} to listen on {port}")

    def stop(self, seconds: float = 10.0) -> None:
        if self._popen.poll() is None:
            self._popen.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):  # killed below, with whatever it has left behind
            self._popen.wait(seconds)
        with contextlib.suppress(ProcessLookupError):  # nothing was left
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()


def tree(roots: Sequence[int]) -> list[int]:
    """The processes and all their descendants."""
    found: list[int] = []
    todo = list(roots)
    while todo:
        pid = todo.pop()
        if not _read(pid, "stat"):
            continue
        found.append(pid)
        for task in Path(f"/proc/{pid}/task").glob("*"):
            todo += [int(word) for word in _read(pid, f"task/{task.name}/children").split()]
    return found


def _read(pid: int, name: str) -> str:
    """A file of /proc; empty once the process, or the thread, has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def cpu_seconds(roots: Sequence[int]) -> float:
    """User and system time of the whole tree so far, in steps of 10 ms; of children that have ended too."""
    return sum(_cpu_of(_read(pid, "stat")) for pid in tree(roots))


def _cpu_of(stat: str) -> float:
    fields = stat.rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / TICKS


def memory_bytes(roots: Sequence[int]) -> int:
    """Resident memory of the whole tree, shared pages counted once (Pss). Kernel socket buffers are not in it."""
    return sum(_pss_of(_read(pid, "smaps_rollup")) for pid in tree(roots))


def _pss_of(rollup: str) -> int:
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
