"""`GET /`: a page that says what runs here."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from eventstream.components.output import Response
from eventstream.runtime.node import Node

_STYLE = "body{font:16px system-ui;max-width:40rem;margin:3rem auto;padding:0 1rem}"
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'",
    "X-Content-Type-Options": "nosniff",
}


def page(node: Node) -> Response:
    """Return a page with the pipelines and outputs of the running configuration."""
    pipelines = "".join(
        f"<li><b>{escape(spec.name)}</b>: {escape(' → '.join(placed.step.name for placed in spec.steps))}</li>"
        for spec in node.settings.pipelines
    )
    outputs = "".join(
        f"<li><code>GET {escape(output.config.path)}</code> {escape(output.name)}</li>" for output in node.outputs
    )
    html = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Event-Stream</title>'
        f"<style>{_STYLE}</style>"
        "<h1>Event-Stream</h1><h2>Pipelines</h2>"
        f"<ul>{pipelines}</ul><h2>Outputs</h2><ul>{outputs}</ul>"
        '<p><code>POST /events</code> publishes. <a href="openapi.json">openapi.json</a> describes it all.</p>'
    )
    return Response(200, _HEADERS, html.encode())
