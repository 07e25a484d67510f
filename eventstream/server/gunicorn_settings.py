"""gunicorn's settings from ours, and what the limit of open files allows."""

from __future__ import annotations

import os
import resource
from dataclasses import replace
from typing import Any

import msgspec

from eventstream.config.model import Settings
from eventstream.server.generation import Generation
from eventstream.telemetry.log import get_logger

log = get_logger("server")

MANY_FILES = 1 << 20
SPARE_FILES = 100  # databases, logs, sockets of the process itself


def gunicorn_settings(generation: Generation, admin_socket: str | None) -> dict[str, Any]:
    """Return gunicorn's settings for a generation's."""
    server = generation.settings.server
    shared_memory = "/dev/shm"  # noqa: S108  # gunicorn's heartbeat file: memory, so that a slow disk kills nobody
    settings: dict[str, Any] = {
        "bind": [str(server.bind), *([f"unix:{admin_socket}"] if admin_socket else [])],
        "umask": 0o177,  # of the sockets and files that gunicorn creates: for this user alone
        "workers": server.workers,
        "worker_class": "eventstream.server.worker.EventStreamWorker",
        "worker_connections": server.limits.connections,
        "worker_tmp_dir": shared_memory if os.access(shared_memory, os.W_OK) else None,
        "keepalive": max(1, int(server.timeouts.keep_alive)),
        "timeout": max(2, int(server.timeouts.hang)),
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
    if generation.certificate is not None:  # only tells gunicorn that the scheme is https: our worker has it loaded
        settings["certfile"], settings["keyfile"] = generation.certificate.files
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
    """Return what runs, for the log and for `/-/config`."""
    settings: Settings = generation.settings
    return {
        "bind": str(settings.server.bind),
        "workers": settings.server.workers,
        "pipelines": [spec.name for spec in settings.pipelines],
        "generation": generation.number,
        "digest": settings.digest[:12],
    }
