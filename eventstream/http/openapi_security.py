"""Who may call what, in the OpenAPI document: security schemes of the chain, and each operation's need."""

from __future__ import annotations

from collections.abc import Mapping

from eventstream.components.identity import Right
from eventstream.http.openapi_parts import Json, ref
from eventstream.runtime.node import Node

EVENTS = "/events"


def schemes(node: Node) -> Json:
    """Return the security schemes by authenticator."""
    chain = node.access.chain if node.access is not None else ()
    return {one.name: dict(one.scheme) for one in chain if one.scheme}


def secure(node: Node, paths: Mapping[str, Json]) -> None:
    """Say of each operation which credentials it takes; `{}` stands for none. Nothing without `auth`."""
    if node.access is None:
        return
    known: list[Json] = [{name: []} for name in schemes(node)]
    for path, operations in paths.items():
        for method, operation in operations.items():
            if method == "options" or _is_public(node, path):
                operation["security"] = []
                continue
            operation["security"] = [*known, *([{}] if _anybody(node, path, method) else [])]
            operation["responses"].setdefault("401", ref("401", "responses"))


def _is_public(node: Node, path: str) -> bool:
    return path in ("/", "/openapi.json") or (path.startswith("/-/") and node.settings.server.metrics_public)


def _anybody(node: Node, path: str, method: str) -> bool:
    """Tell whether a caller whom nobody knows may get anywhere."""
    right = _right(node, path, method)
    if right is None or node.access is None or node.access.grants(None, right):
        return True
    return right == "publish" and node.identifies


def _right(node: Node, path: str, method: str) -> Right | None:
    for route in node.routes:
        if route.path == path and method.upper() in route.methods:
            return route.right
    return "publish" if (path, method) == (EVENTS, "post") else "subscribe"
