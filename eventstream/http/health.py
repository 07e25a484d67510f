"""`/-/health`, `/-/ready`, `/-/metrics`, `/-/config`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eventstream.components.output import Response
from eventstream.components.step import Request
from eventstream.errors import StoreBusy
from eventstream.events import strict_json
from eventstream.runtime.node import Node

JSON = {"Content-Type": "application/json", "Cache-Control": "no-store"}
EXPOSITION = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Cache-Control": "no-store"}


def handlers(node: Node) -> dict[str, Callable[[Request], Response]]:
    """Return the handlers by path."""
    return {
        "/-/health": lambda _: Response(200, JSON, strict_json.encode({"status": "ok"})),
        "/-/ready": lambda _: ready(node),
        "/-/metrics": lambda _: Response(200, EXPOSITION, node.metrics.render()),
    }


def config(facts: Mapping[str, Any]) -> Response:
    """Say what runs: which generation, of which file, and what became of the last reload."""
    return Response(200, JSON, strict_json.encode(facts))


def ready(node: Node) -> Response:
    """Say whether this worker takes events and subscribers now."""
    trouble = "draining" if node.draining else None
    head = None
    try:
        head = node.cursor(node.store.head())
    except StoreBusy as error:
        trouble = str(error)
    body = {"ready": trouble is None, "latest": head, "trouble": trouble}
    return Response(200 if trouble is None else 503, JSON, strict_json.encode(body))
