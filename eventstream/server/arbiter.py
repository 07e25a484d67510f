"""The master process: generations, gunicorn's settings from ours, reload as a transaction."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from eventstream.config.model import Server
from eventstream.errors import ConfigError
from eventstream.server.generation import Generation, load_generation
from eventstream.telemetry import log as logging
from eventstream.telemetry import metrics

log = logging.get_logger("server")

MANY_FILES = 1 << 20
SPARE_FILES = 100  # databases, logs, sockets of the process itself


class Service(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """The application gunicorn runs: one generation at a time."""

    def __init__(self, file: str, drop_ins: Sequence[str], overrides: Mapping[str, Any], run_folder: str) -> None:
        """Load the first generation; raises ConfigError."""
        self._file = file
        self._drop_ins = drop_ins
        self._overrides = overrides
        self._run_folder = run_folder
        self.generation = self._load(1)
        super().__init__()

    def next_generation(self) -> bool:
        """Load the file anew; False, with every problem logged, leaves the running generation as it is."""
        try:
            self.generation = self._load(self.generation.number + 1)
        except ConfigError as error:
            for problem in error.problems:
                log.error("reload_refused", problem=str(problem))
            return False
        log.info("generation_loaded", number=self.generation.number, digest=self.generation.settings.digest[:12])
        return True

    def _load(self, number: int) -> Generation:
        generation = load_generation(self._file, number=number, drop_ins=self._drop_ins, overrides=self._overrides)
        return fit(generation, raise_file_limit())

    def load_config(self) -> None:
        """Give gunicorn its settings."""
        for name, value in gunicorn_settings(self.generation.settings.server).items():
            self.cfg.set(name, value)
        self.cfg.set("child_exit", self._child_exit)

    def _child_exit(self, _arbiter: Any, worker: Any) -> None:
        metrics.forget_worker(worker.pid, self.metrics_folder)

    @property
    def metrics_folder(self) -> str:
        """Where the workers' counters lie."""
        return str(Path(self._run_folder) / "metrics")

    def load(self) -> Any:
        """Build the app; called in each worker, from the generation that this process inherited."""
        from eventstream.server.wsgi import App  # noqa: PLC0415  # gevent and Falcon are the workers' business

        return App(self.generation, metrics_folder=self.metrics_folder)

    def run(self) -> None:
        """Serve until stopped."""
        metrics.share(self.metrics_folder)
        Master(self).run()


class Master(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's arbiter, whose reload is refused as a whole when the file is bad."""

    def reload(self) -> None:
        """Replace the workers by ones of the next generation, or change nothing."""
        if self.app.next_generation():
            super().reload()


def gunicorn_settings(server: Server) -> dict[str, Any]:
    """Return gunicorn's settings for ours."""
    shared_memory = "/dev/shm"  # noqa: S108  # gunicorn's heartbeat file: memory, so that a slow disk kills nobody
    settings: dict[str, Any] = {
        "bind": str(server.bind),
        "workers": server.workers,
        "worker_class": "eventstream.server.worker.EventStreamWorker",
        "worker_connections": server.limits.connections,
        "worker_tmp_dir": shared_memory if os.access(shared_memory, os.W_OK) else None,
        "keepalive": max(1, int(server.timeouts.keep_alive)),
        "timeout": 30,
        "graceful_timeout": int(server.drain) + 5,
        "preload_app": False,
        "limit_request_line": 8190,
        "limit_request_fields": 100,
        "limit_request_field_size": 8190,
        "forwarder_headers": "",
        "header_map": "refuse",
        "http_protocols": "h1",
        "control_socket_disable": True,
        "accesslog": None,
        "logger_class": "eventstream.server.gunicorn_log.GunicornLog",
        "proc_name": "eventstream",
    }
    if server.tls is not None:
        settings.update(certfile=server.tls.cert, keyfile=server.tls.key)
    return settings


def raise_file_limit() -> int:
    """Raise the limit of open files to its hard bound, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    bound = MANY_FILES if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (bound, hard))
    return bound


def fit(generation: Generation, files: int) -> Generation:
    """Lower the number of streams to what the limit of open files allows, and say so."""
    settings = generation.settings
    limits = settings.server.limits
    room = max(1, files - limits.connections - SPARE_FILES)
    if limits.subscribers <= room:
        return generation
    log.warning("subscribers_lowered", wanted=limits.subscribers, possible=room, hint="raise `ulimit -Hn`")
    server = msgspec.structs.replace(settings.server, limits=msgspec.structs.replace(limits, subscribers=room))
    return replace(generation, settings=replace(settings, server=server))


def running(generation: Generation) -> dict[str, Any]:
    """Return what runs, for the log."""
    settings = generation.settings
    return {
        "bind": str(settings.server.bind),
        "workers": settings.server.workers,
        "pipelines": [spec.name for spec in settings.pipelines],
        "generation": generation.number,
        "digest": settings.digest[:12],
    }
