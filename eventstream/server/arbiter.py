"""The master process: gunicorn's arbiter, with reload as a transaction."""

from __future__ import annotations

import gc
import os
import queue
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from gunicorn.arbiter import Arbiter
from gunicorn.sock import _sock_type as socket_type

from eventstream.server.generation import Generation
from eventstream.telemetry.log import get_logger

log = get_logger("server")

BOOT_SECONDS = 30.0  # given to a worker to open its store
LONGEST_PAUSE = 30.0  # seconds between two attempts to replace workers that cannot start


class Generations(Protocol):
    """What the master needs of the service it runs."""

    generation: Generation

    def advance(self) -> bool:
        """Load the file anew, or say in the log what is wrong with it."""

    def go_back(self, generation: Generation, reason: str) -> None:
        """Return to a generation."""

    def accept(self) -> None:
        """Note that the generation runs."""


class _Refused(Exception):  # it ends a reload, not the program
    """The new generation cannot run."""


class Master(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's arbiter, which puts a new configuration in force as a whole, or not at all."""

    LISTENERS: list[Any]

    def __init__(self, app: Any) -> None:
        """Take the service."""
        self._proven = False  # some worker got as far as serving
        self._failures = 0
        self._pause_until = 0.0
        self._leaving: list[Any] = []  # sockets of the running generation that its successor does without
        super().__init__(app)
        # As we were started: gunicorn would run a module's file by its path, from inside the package.
        self.START_CTX["args"] = [sys.executable, *sys.orig_argv[1:]]

    # -- reload --------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Replace the workers by ones of the next generation once the first of these serves; else change nothing."""
        service: Generations = self.app
        running = service.generation
        if not service.advance():
            return
        listeners, addresses = self.LISTENERS, self.cfg.address
        try:
            self._adopt()
            self._listen(dict(zip(addresses, listeners, strict=False)))
            self._leaving = [one for one in listeners if one not in self.LISTENERS]
            self._try_worker()
        except _Refused as refusal:
            self._leave([one for one in self.LISTENERS if one not in listeners])
            self.LISTENERS, self._leaving = listeners, []
            service.go_back(running, str(refusal))
            self._adopt()
            return
        self._leave(self._leaving)
        self._leaving = []
        service.accept()
        self._await({self.spawn_worker() for _ in range(self.num_workers - 1)})
        self.manage_workers()  # the oldest beyond the number wanted are told to drain

    def _adopt(self) -> None:
        """Take gunicorn's settings from the service's generation."""
        self.app.load_default_config()
        self.app.load_config()
        self.setup(self.app)

    def _listen(self, open_sockets: dict[Any, Any]) -> None:
        """Open what is new among the addresses. Those that are gone stay open until the new generation serves."""
        listeners = []
        self.LISTENERS = list(open_sockets.values())
        for address in self.cfg.address:
            if address not in open_sockets:
                try:
                    open_sockets[address] = socket_type(address)(address, self.cfg, self.log)
                except (OSError, ValueError) as error:
                    raise _Refused(f"cannot listen on {_text(address)}: {error}") from error
                self.LISTENERS.append(open_sockets[address])
                log.info("listening", address=_text(address))
            listeners.append(open_sockets[address])
        self.LISTENERS = listeners

    def _try_worker(self) -> None:
        """Start one worker of the new generation and wait until it serves."""
        pid = self.spawn_worker()
        deadline = time.monotonic() + BOOT_SECONDS
        while True:
            self.reap_workers()
            worker = self.WORKERS.get(pid)
            if worker is None:
                raise _Refused("a worker with the new configuration cannot start: the lines above say why")
            if worker.boot_mark[0]:
                return
            if time.monotonic() > deadline or self._asked_to_stop():
                self.kill_worker(pid, signal.SIGKILL)
                raise _Refused(f"a worker with the new configuration did not start within {BOOT_SECONDS:g} s")
            time.sleep(0.02)

    def _await(self, pids: set[int]) -> None:
        """Wait until these workers serve or have ended: until then the old ones do."""
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline and not self._asked_to_stop():
            self.reap_workers()
            if all(self.WORKERS[pid].boot_mark[0] for pid in pids & self.WORKERS.keys()):
                return
            time.sleep(0.02)

    def _asked_to_stop(self) -> bool:
        """Look at the signals that wait, and leave them there."""
        waiting = []
        with suppress(queue.Empty):
            while True:
                waiting.append(self.SIG_QUEUE.get_nowait())
        for number in waiting:
            self.SIG_QUEUE.put_nowait(number)
        return not {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}.isdisjoint(waiting)

    def let_go(self) -> None:
        """Close, in a worker just forked, what it will not accept from: it would keep those sockets open."""
        for one in self._leaving:
            one.close()

    def spawn_worker(self) -> int:
        """Fork a worker. It never looks for garbage in what it inherits: looking would copy all of it, page by page."""
        gc.freeze()
        pid = int(super().spawn_worker())  # in the worker it does not return
        gc.unfreeze()
        return pid

    # -- workers that do not start ---------------------------------------------------------------------

    @property
    def WORKER_BOOT_ERROR(self) -> int:  # noqa: N802  # gunicorn's name
        """Return the status that ends the whole server: none, once a worker has served.

        A full disk or a lock may keep a worker from starting; the others, and the next attempt, go on.
        """
        self._proven = self._proven or any(worker.boot_mark[0] for worker in self.WORKERS.values())
        return -1 if self._proven else int(Arbiter.WORKER_BOOT_ERROR)

    def note_end(self, worker: Any) -> None:
        """Let the pause before the next attempt grow when a worker ended before it served."""
        if worker.boot_mark[0]:
            self._proven, self._failures = True, 0
            return
        self._failures += 1
        pause = min(LONGEST_PAUSE, 0.25 * 2**self._failures)
        self._pause_until = time.monotonic() + pause
        log.error("worker_did_not_start", pid=worker.pid, next_attempt_in=pause)

    def spawn_workers(self) -> None:
        """Replace missing workers, unless it is too early after a failure."""
        if time.monotonic() >= self._pause_until:
            super().spawn_workers()

    # -- the end, and the next program -------------------------------------------------------------------

    def stop(self, graceful: bool = True) -> None:  # gunicorn calls it so
        """Close the sockets and stop the workers."""
        unix = [one for one in self.LISTENERS if one.family == socket.AF_UNIX]
        self.LISTENERS = [one for one in self.LISTENERS if one not in unix]
        self._leave(unix)  # gunicorn's own unlink fails, and the stop with it, when the folder has gone
        super().stop(graceful)

    def _leave(self, listeners: list[Any]) -> None:
        """Close listeners; a Unix socket's name goes too, unless another master has it as well."""
        for one in listeners:
            path = one.getsockname() if one.family == socket.AF_UNIX else None
            one.close()
            if path and self.reexec_pid == self.master_pid == 0:
                Path(path).unlink(missing_ok=True)

    def reexec(self) -> None:
        """Start the program anew beside this one (SIGUSR2)."""
        try:
            super().reexec()
        except OSError as error:
            if os.getpid() == self.pid:
                raise
            log.error("upgrade_failed", error=str(error))  # in the child: it must not act as a master
            os._exit(1)


def _text(address: Any) -> str:
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else f"unix:{address}"
