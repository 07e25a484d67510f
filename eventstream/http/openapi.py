"""The OpenAPI document of the HTTP routes."""

from __future__ import annotations

from typing import Any

from eventstream.components.output import Response
from eventstream.events import strict_json
from eventstream.runtime.node import Node


def document(node: Node) -> Response:
    """Return the document for the running configuration."""
    return Response(200, {"Content-Type": "application/json"}, strict_json.encode(describe(node)))


def describe(node: Node) -> dict[str, Any]:
    """Describe the routes."""
    return {"openapi": "3.1.0", "info": {"title": "Event-Stream", "version": "0.1.0"}, "paths": {}}
