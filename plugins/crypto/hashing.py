"""Where passwords are hashed: in processes beside the worker.

Argon2id takes and returns tens of MiB for each hash. Inside the worker the kernel would make its other threads
wait for that, whenever they ask for memory: at 1,000 subscribers events came several times as late.
"""

import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from eventstream_plugins.crypto.refusals import busy

_NEEDED = ("PYTHON", "LD_LIBRARY_PATH")  # where Python finds its parts; the server's keys may stand in the others
SCRIPT = Path(__file__).with_name("argon2_process.py")


class Hasher:
    """One process that hashes. Its socket gives way to other greenlets while it works."""

    def __init__(self) -> None:
        """Start it; it is ready for its first job some 50 ms later."""
        ours, theirs = socket.socketpair()
        with theirs:
            words = [sys.executable, "-P", str(SCRIPT)]
            actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)]
            environ = {name: value for name, value in os.environ.items() if name.startswith(_NEEDED)}
            # a group of its own: the terminal's Ctrl-C is for the server
            self.pid = os.posix_spawn(sys.executable, words, environ, file_actions=actions, setpgroup=0)
        self._socket = ours
        self._lines = ours.makefile("rwb")

    def ask(self, job: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a job; raises OSError or ValueError when the process has ended."""
        self._lines.write(json.dumps(job).encode() + b"\n")
        self._lines.flush()
        answer: dict[str, Any] = json.loads(self._lines.readline())
        return answer

    def end(self) -> None:
        """End it, also in the middle of a job: who waits for the answer reads the end of its lines."""
        with suppress(ProcessLookupError, ChildProcessError):  # it has ended, or somebody else has seen it end
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self._socket.close()  # `_lines` only by whoever reads them: they cannot be closed under a reader


class Hashers:
    """As many processes as hash at once, started when they are first needed."""

    def __init__(self) -> None:
        """Start none."""
        self._all: list[Hasher] = []
        self._idle: list[Hasher] = []

    def ask(self, job: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a job; raises Reject 503 when there is no memory for it."""
        hasher = self._idle.pop() if self._idle else self._start()
        answer: dict[str, Any] | None = None
        try:
            answer = hasher.ask(job)
        except (OSError, ValueError):  # the system has ended it: it takes the memory of the largest first
            pass
        finally:  # also when we are ended ourselves: its answer must not be the next one's
            if answer is not None:
                self._idle.append(hasher)
            elif hasher in self._all:  # not when `close` has ended it
                self._all.remove(hasher)
                hasher.end()
        if answer is None or "busy" in answer:
            raise busy("there is no memory for this hash")
        return answer

    def _start(self) -> Hasher:
        hasher = Hasher()
        self._all.append(hasher)
        return hasher

    def close(self) -> None:
        """End all; may be called more than once."""
        self._idle.clear()
        while self._all:
            self._all.pop().end()
