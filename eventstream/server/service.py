"""What the master runs: one generation after the other."""

from __future__ import annotations

import json
import mmap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication

from eventstream.errors import ConfigError
from eventstream.server.admin import admin_socket_of
from eventstream.server.arbiter import Master
from eventstream.server.generation import Generation, load_generation
from eventstream.server.gunicorn_settings import fit, gunicorn_settings, raise_file_limit, running
from eventstream.server.wsgi import App
from eventstream.telemetry import log as logging
from eventstream.telemetry import metrics

log = logging.get_logger("server")
audit = logging.get_logger("audit")


class Service(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """The application gunicorn runs. The master holds the generation; its workers inherit it by the fork."""

    def __init__(self, file: str, drop_ins: Sequence[str], overrides: Mapping[str, Any], run_folder: str) -> None:
        """Load the first generation; raises ConfigError."""
        self._file = file
        self._drop_ins = drop_ins
        self._overrides = overrides
        self._refusal = Path(run_folder, "refused.json")  # written by the master, read by its workers
        self.metrics_folder = str(Path(run_folder, "metrics"))
        self._number = 0
        self.generation = self._load()
        self.admin_socket = admin_socket_of(self.generation.settings)
        super().__init__()

    def _load(self) -> Generation:
        generation = load_generation(
            self._file, number=self._number + 1, drop_ins=self._drop_ins, overrides=self._overrides
        )
        self._number += 1
        _configure_log(generation)
        for warning in generation.settings.warnings:
            log.warning("configuration", problem=str(warning))
        return fit(generation, raise_file_limit())

    # -- one generation after the other --------------------------------------------------------------

    def advance(self) -> bool:
        """Load the file anew; False, with every problem logged, leaves the running generation as it is."""
        try:
            self.generation = self._load()
        except ConfigError as error:
            _configure_log(self.generation)  # its own log may have been the fault
            self._refuse([str(problem) for problem in error.problems])
            return False
        self.admin_socket = admin_socket_of(self.generation.settings)
        return True

    def go_back(self, generation: Generation, reason: str) -> None:
        """Return to the generation that runs, since its successor cannot."""
        self.generation = generation
        self.admin_socket = admin_socket_of(generation.settings)
        _configure_log(generation)
        self._refuse([reason])

    def _refuse(self, problems: Sequence[str]) -> None:
        for problem in problems:
            log.error("reload_refused", problem=problem, running=self.generation.number)
        self._audit("reload_refused", problems=len(problems))
        self._refusal.write_text(json.dumps({"at": time.time(), "problems": problems}))

    def accept(self) -> None:
        """Note that the generation runs."""
        self._refusal.unlink(missing_ok=True)
        log.info("generation_running", **running(self.generation))
        self._audit("reloaded", digest=self.generation.settings.digest)

    def _audit(self, what: str, **facts: Any) -> None:
        if self.generation.settings.server.audit is not None:
            audit.info(what, generation=self.generation.number, **facts)

    # -- what gunicorn calls -------------------------------------------------------------------------

    def load_config(self) -> None:
        """Give gunicorn the generation's settings."""
        for name, value in gunicorn_settings(self.generation, self.admin_socket).items():
            self.cfg.set(name, value)
        self.cfg.set("pre_fork", _mark)
        self.cfg.set("post_fork", lambda arbiter, _worker: arbiter.let_go())
        self.cfg.set("post_worker_init", _booted)
        self.cfg.set("child_exit", self._ended)

    def _ended(self, arbiter: Master, worker: Any) -> None:
        metrics.forget_worker(worker.pid, self.metrics_folder)
        arbiter.note_end(worker)

    def load(self) -> App:
        """Build the app; called in each worker, from the generation that this process inherited."""
        return App(
            self.generation,
            metrics_folder=self.metrics_folder,
            admin_socket=self.admin_socket,
            describe=self.describe,
        )

    def run(self) -> None:
        """Serve until stopped."""
        metrics.share(self.metrics_folder)
        log.info("starting", **running(self.generation))
        self._audit("started", digest=self.generation.settings.digest)
        Master(self).run()

    def describe(self) -> dict[str, Any]:
        """Return what runs, for `/-/config`. Nothing of the file's text: it may hold keys."""
        generation = self.generation
        settings = generation.settings
        refused = json.loads(self._refusal.read_text()) if self._refusal.exists() else None
        return {
            **running(generation),
            "digest": settings.digest,
            "file": str(Path(settings.file).absolute()),
            "loaded_at": generation.loaded_at,
            "store": settings.store.name,
            "warnings": [str(problem) for problem in settings.warnings],
            "last_reload_refused": refused,
        }


def _mark(_arbiter: Any, worker: Any) -> None:
    """Share one byte with the worker that is about to be forked: it says that it has got as far as serving."""
    worker.boot_mark = mmap.mmap(-1, 1)


def _booted(worker: Any) -> None:
    worker.boot_mark[0] = 1


def _configure_log(generation: Generation) -> None:
    settings = generation.settings
    wanted = settings.server.log
    file = str(Path(settings.folder, wanted.file)) if wanted.file is not None else None
    logging.configure(
        level=wanted.level, format=wanted.format, file=file, max_size=wanted.max_size, keep=wanted.keep
    )  # fmt: skip
    lines = settings.server.audit
    if lines is None or lines.file is None:
        logging.configure_audit()
    else:
        file = str(Path(settings.folder, lines.file))
        logging.configure_audit(file=file, max_size=lines.max_size, keep=lines.keep)
