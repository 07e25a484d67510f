"""The OpenAPI document of the HTTP routes, made from the running configuration."""

from __future__ import annotations

import inspect
from functools import cache
from importlib.metadata import version
from typing import Any

from eventstream.components.output import Output, Response, Route
from eventstream.events import strict_json
from eventstream.http.openapi_parts import FILTERS, HEADERS, PAGING, PUBLISHING, REFUSALS, SCHEMAS, Json, ref
from eventstream.http.openapi_security import schemes, secure
from eventstream.runtime.node import Node

EVERYWHERE = (400, 403, 421)  # what any request may be told before it is looked at


def document(node: Node) -> Response:
    """Return the document for the running configuration."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(200, headers, strict_json.encode(describe(node)))


def describe(node: Node) -> Json:
    """Describe every route of a node."""
    paths: dict[str, Json] = {
        "/events": {"post": _publish(node), "get": _page(), "options": _options()},
        "/": {"get": _get("page", "What runs here", {"text/html": {"schema": {"type": "string"}}})},
        "/openapi.json": {"get": _get("openapi", "This document", _json({"type": "object"}))},
    }
    if node.settings.server.metrics_public:
        paths.update(_health())
    for output in node.outputs:
        operations = paths.setdefault(output.config.path, {})
        operations["get"] = _merged(operations.get("get"), _component(output, "get"))
    schemas = dict(SCHEMAS)
    for route in node.routes:
        own = dict(route.describe())
        schemas.update(own.pop("schemas", {}))
        methods = [method.lower() for method in route.methods]
        shared = {name: part for name, part in own.items() if name not in methods}
        for method in methods:
            described = _described(_component(route, method), {**shared, **own.get(method, {})})
            paths.setdefault(route.path, {})[method] = described
    secure(node, paths)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Event-Stream",
            "version": _version(),
            "description": "Events in, through the pipelines of this server, out to every subscriber.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": HEADERS,
            "responses": _responses(),
            "securitySchemes": schemes(node),
        },
    }


@cache
def _version() -> str:
    return version("eventstream")


@cache
def _responses() -> Json:
    return {
        str(status): {
            "description": description,
            "headers": {name: ref(name, "headers") for name in ("X-Request-Id", *headers)},
            "content": {"application/problem+json": {"schema": ref("Problem")}},
        }
        for status, (description, headers) in REFUSALS.items()
    }


def _refusals(*statuses: int) -> Json:
    return {str(status): ref(str(status), "responses") for status in sorted({*EVERYWHERE, *statuses})}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _get(name: str, summary: str, content: Json, *statuses: int) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": {"description": summary, "content": content}, **_refusals(*statuses)},
    }


def _publish(node: Node) -> Json:
    limits = node.settings.server.limits
    return {
        "operationId": "publish",
        "summary": "Publish one event or a batch",
        "description": (
            "The media type tells the form: a CloudEvent in the JSON format, a batch of them, or a plain event. With "
            "`ce-` headers (binary mode) the body is the event's data and Content-Type its type. The body may be "
            f"gzip; it has at most {int(limits.body)} bytes and {limits.depth} levels. A batch is atomic unless "
            "`Prefer: batch=partial` asks for a result of each event. Numbers beyond a double, duplicate keys and lone "
            "surrogates are refused."
        ),
        "parameters": PUBLISHING,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": ref("PlainEvent")},
                "application/cloudevents+json": {"schema": ref("Event")},
                "application/cloudevents-batch+json": {
                    "schema": {"type": "array", "items": ref("Event"), "maxItems": limits.batch}
                },
                "application/octet-stream": {
                    "schema": {"description": "Binary mode: any media type, with ce- headers."}
                },
            },
        },
        "responses": {
            "200": _receipts("Nothing new: each event was published before, or the batch was empty."),
            "201": _receipts("Published: each event has its final place."),
            "202": _receipts("Taken by a pipeline that does not store; no more is promised."),
            **_refusals(401, 408, 409, 413, 415, 422, 429, 500, 503),
        },
    }


def _receipts(description: str) -> Json:
    headers = ("X-Request-Id", "RateLimit", "RateLimit-Policy", "Preference-Applied")
    return {
        "description": description,
        "headers": {name: ref(name, "headers") for name in headers},
        "content": _json({"oneOf": [ref("Receipt"), ref("Receipts")]}),
    }


def _page() -> Json:
    operation = _get("read", "Read a page of the history, or wait for the next event", _json(ref("Page")), 500, 503)
    return {**operation, "parameters": [*FILTERS, *PAGING]}


def _options() -> Json:
    return {
        "operationId": "ask",
        "summary": "CORS preflight, and the CloudEvents webhook handshake",
        "responses": {
            "204": {
                "description": "What is allowed here.",
                "headers": {
                    "Allow": {"schema": {"type": "string"}},
                    "WebHook-Allowed-Origin": {"schema": {"type": "string"}},
                    "WebHook-Allowed-Rate": {"schema": {"type": "string"}},
                },
            },
            **_refusals(),
        },
    }


def _health() -> dict[str, Json]:
    status = {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}}
    ready: Json = {
        "type": "object",
        "required": ["ready", "latest", "trouble"],
        "properties": {
            "ready": {"type": "boolean"},
            "latest": {"anyOf": [ref("Cursor"), {"type": "null"}]},
            "trouble": {"type": ["string", "null"]},
        },
    }
    readiness = _get("ready", "Whether this worker takes events and subscribers now", _json(ready))
    readiness["responses"]["503"] = {"description": "Not now.", "content": _json(ready)}
    exposition = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "/-/health": {"get": _get("health", "Whether the process answers", _json(status))},
        "/-/ready": {"get": readiness},
        "/-/metrics": {"get": _get("metrics", "Metrics of all workers, for Prometheus", exposition)},
    }


def _component(component: Output | Route, method: str) -> Json:
    """Describe an output or a plugin's route by its own words."""
    text = inspect.getdoc(type(component)) or component.name
    summary, _, rest = text.partition("\n")
    return {
        "operationId": f"{component.name}_{method}",
        "summary": summary,
        "description": rest.strip(),
        "responses": {**_answers(component), "default": _default()},
    }


def _described(operation: Json, own: Json) -> Json:
    """Return an operation with what its route says of itself."""
    return {**operation, **own, "responses": {**operation["responses"], **own.get("responses", {})}}


def _answers(component: Output | Route) -> Json:
    return {
        str(status): {"description": f"Answered by `{component.name}`.", **({"content": {media: {}}} if media else {})}
        for status, media in component.answers.items()
    }


def _default() -> Json:
    return {
        "description": "Refused.",
        "content": {"application/problem+json": {"schema": ref("Problem")}},
    }


def _merged(first: Json | None, second: Json) -> Json:
    """Let several share one path: the request's headers choose which of them answers."""
    if first is None:
        return second
    responses = {**second["responses"], **first["responses"]}
    ours, theirs = first["responses"].get("200"), second["responses"].get("200")
    if ours is not None and theirs is not None:
        content: dict[str, Any] = {**theirs.get("content", {}), **ours.get("content", {})}
        responses["200"] = {**ours, "content": content}
    description = f"{first.get('description', '')}\n\n**{second['summary']}** {second['description']}".strip()
    return {**first, "description": description, "responses": responses}
