"""The parts of the OpenAPI document that no configuration changes: schemas, parameters, answers.

Patterns repeat the rules of `eventstream.events.attributes`; a test holds both against each other.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

MAX_PLACE = 128  # bytes of a cursor's text
_CONTROL = r"\u0000-\u001f\u007f-\u009f\ufdd0-\ufdef\ufffe\uffff"
_TEXT = rf"^[^{_CONTROL}]+$"
_TYPE = rf"^(?!eventstream\.)[^{_CONTROL}]+$"
_URI_REFERENCE = r"^([A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+$"
_URI = r"^[A-Za-z][A-Za-z0-9+.-]*:([A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*$"
_MEDIA_TYPE = r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+*-]+$"
_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_TIME = (
    r"^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)


def ref(name: str, kind: str = "schemas") -> Json:
    """Return a reference to a component of this document."""
    return {"$ref": f"#/components/{kind}/{name}"}


def _optional(pattern: str, description: str) -> Json:
    return {"type": ["string", "null"], "pattern": pattern, "description": description}


def _event(*, plain: bool) -> Json:
    required = ["type"] if plain else ["specversion", "id", "source", "type"]
    free = ["string", "null"] if plain else "string"
    filled = ", filled in when missing" if plain else ""
    return {
        "type": "object",
        "required": required,
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": free, "pattern": _TEXT, "description": f"Unique together with `source`{filled}."},
            "source": {"type": free, "pattern": _URI_REFERENCE, "description": f"Who sends it{filled}."},
            "type": {"type": "string", "pattern": _TYPE, "examples": ["shop.order.created"]},
            "time": _optional(_TIME, f"RFC 3339{filled}."),
            **({"timestamp": _optional(_TIME, "Another name for `time`.")} if plain else {}),
            "subject": _optional(_TEXT, "What it is about."),
            "datacontenttype": _optional(_MEDIA_TYPE, "Media type of the data; JSON when missing."),
            "dataschema": _optional(_URI, "Absolute URI of the schema that the data follows."),
            "data": {"description": "Any JSON value."},
            "data_base64": _optional(_BASE64, "Binary data, in place of `data`."),
            "cursor": False,
        },
        "patternProperties": {
            "^[a-z0-9]{1,64}$": {"description": "An extension attribute: a string, 32-bit integer or boolean."},
        },
        "additionalProperties": False,
        "not": {"required": ["data", "data_base64"], "properties": {"data_base64": {"type": "string"}}},
    }


def _extended(schema: Json) -> Json:
    """Say what extension attributes may hold, without saying it of the attributes that have their own rule."""
    known = "|".join(sorted(schema["properties"]))
    rule = {
        "anyOf": [
            {"type": "string", "pattern": rf"^[^{_CONTROL}]*$"},
            {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
            {"type": ["boolean", "null"]},
        ],
        "description": "An extension attribute.",
    }
    return {**schema, "patternProperties": {f"^(?!({known})$)[a-z0-9]{{1,64}}$": rule}}


_PROBLEM: Json = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri", "description": "Names the request, as in the log."},
        "limit": {"type": "integer", "description": "The bound that was passed (413)."},
        "violated-policies": {"type": "array", "items": {"type": "string"}, "description": "Quotas (429)."},
        "errors": {
            "type": "array",
            "maxItems": 100,
            "items": {
                "type": "object",
                "required": ["detail", "pointer"],
                "properties": {
                    "detail": {"type": "string"},
                    "pointer": {"type": "string", "pattern": "^#", "description": "JSON pointer into the body."},
                    "step": {"type": "string", "description": "Place of the step that refused."},
                },
            },
        },
    },
}

_RECEIPT: Json = {
    "type": "object",
    "required": ["id", "source"],
    "properties": {
        "id": {"type": "string"},
        "source": {"type": "string"},
        "cursor": ref("Cursor"),
        "durable": {"enum": ["fsync", "os", "replicated", "memory"], "description": "What has been made sure."},
        "duplicate": {"const": True, "description": "The event was here before; this is its first receipt."},
    },
    "dependentRequired": {"cursor": ["durable"], "duplicate": ["cursor"]},
    "unevaluatedProperties": False,
}

_RECEIPTS: Json = {
    "type": "object",
    "required": ["receipts"],
    "properties": {
        "receipts": {
            "type": "array",
            "items": {
                "oneOf": [
                    ref("Receipt"),
                    {"type": "object", "required": ["problem"], "properties": {"problem": ref("Problem")}},
                ]
            },
        }
    },
    "additionalProperties": False,
}

_GAP: Json = {
    "type": "object",
    "description": "The place that was asked for is not there any more.",
    "required": ["requested", "resumed_from", "reason"],
    "properties": {
        "requested": {"type": "string", "maxLength": MAX_PLACE},
        "resumed_from": ref("Cursor"),
        "reason": {"enum": ["expired", "epoch", "overflow"]},
    },
}

_PAGE: Json = {
    "type": "object",
    "required": ["events", "next", "earliest", "latest"],
    "properties": {
        "events": {"type": "array", "items": {"type": "object", "required": ["specversion", "id", "source", "type"]}},
        "next": {**ref("Cursor"), "description": "Give it as `after` for what follows."},
        "earliest": ref("Cursor"),
        "latest": ref("Cursor"),
        "gap": ref("Gap"),
    },
}

SCHEMAS: Json = {
    "Cursor": {
        "type": "string",
        "maxLength": MAX_PLACE,
        "description": "A place in the history; opaque. Receipts, pages, SSE ids and `after` all carry it.",
    },
    "Event": {**_extended(_event(plain=False)), "description": "A CloudEvents 1.0 event in the JSON format."},
    "PlainEvent": {**_extended(_event(plain=True)), "description": "An event of which only the type must be given."},
    "Gap": _GAP,
    "Page": _PAGE,
    "Problem": _PROBLEM,
    "Receipt": _RECEIPT,
    "Receipts": _RECEIPTS,
}

_PATTERN = {"type": "array", "items": {"type": "string", "minLength": 1}}


def _query(name: str, description: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": schema}


FILTERS: list[Json] = [
    _query("type", "Only these types; a trailing `*` matches a prefix. Repeatable.", _PATTERN),
    _query("source", "Only these sources; as for `type`.", _PATTERN),
    _query("subject", "Only these subjects; as for `type`.", _PATTERN),
    {
        "name": "filter",
        "in": "query",
        "description": "CloudEvents filters as JSON: `exact`, `prefix`, `suffix`, `all`, `any`, `not`.",
        "content": {"application/json": {"schema": ref("Filter")}},
    },
]

PAGING: list[Json] = [
    _query("after", "A cursor, `earliest` or `latest`.", {"enum": ["earliest", "latest"], "default": "earliest"}),
    _query("limit", "Most events in the page.", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
    _query("wait", "Seconds to wait for a match.", {"type": "number", "minimum": 0, "maximum": 60, "default": 0}),
]

PUBLISHING: list[Json] = [
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Gives an event without an id its id, so that a repeat is known. Quoted or bare.",
        "schema": {"type": "string", "pattern": r"^([!#-\[\]-~]{1,255}|\"([ !#-\[\]-~]|\\[\"\\]){1,255}\")$"},
    },
    {
        "name": "Prefer",
        "in": "header",
        "description": "`batch=partial`: publish what can be, answer for each event of a batch.",
        "schema": {"type": "string"},
        "example": "batch=partial",
    },
]

_ATTRIBUTES = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 5,
    "propertyNames": {"pattern": "^(?!data$)[a-z0-9]{1,64}$"},
    "additionalProperties": {"type": "string", "minLength": 1},
}


def _dialect(name: str, body: Json) -> Json:
    return {"type": "object", "required": [name], "properties": {name: body}, "additionalProperties": False}


_COMPARISONS: Json = {"oneOf": [_dialect(name, _ATTRIBUTES) for name in ("exact", "prefix", "suffix")]}
_SOME = {"type": "array", "minItems": 1, "maxItems": 5, "items": _COMPARISONS}
SCHEMAS["Filter"] = {
    "description": "One filter of the CloudEvents Subscriptions API; filters may be nested further than shown here.",
    "oneOf": [*_COMPARISONS["oneOf"], _dialect("not", _COMPARISONS), _dialect("all", _SOME), _dialect("any", _SOME)],
}

HEADERS: Json = {
    "X-Request-Id": {"description": "Names the request, as in the log.", "schema": {"type": "string"}},
    "WWW-Authenticate": {"description": "Which credentials are taken.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}},
    "RateLimit": {"description": "What is left of a quota.", "schema": {"type": "string"}},
    "RateLimit-Policy": {"description": "The quotas in force.", "schema": {"type": "string"}},
    "Preference-Applied": {"description": "Which preference was followed.", "schema": {"type": "string"}},
}

REFUSALS: dict[int, tuple[str, tuple[str, ...]]] = {
    400: ("Malformed: not HTTP, JSON or an event. `errors` point at each fault.", ()),
    401: ("The signature or credential is missing or not accepted.", ("WWW-Authenticate",)),
    403: ("Not granted, or a page of an origin that is not allowed.", ()),
    405: ("There is no such method here.", ()),
    408: ("The body took too long.", ()),
    409: ("An event with this id and source exists with other content.", ()),
    413: ("Too large: `limit` says what is taken.", ()),
    415: ("This media type or content encoding is not taken.", ()),
    421: ("This server does not answer to that Host.", ()),
    422: ("A step refused the event, no pipeline takes it, or an Idempotency-Key was used for other content.", ()),
    426: ("This resource speaks WebSocket.", ()),
    429: ("A quota is used up.", ("Retry-After", "RateLimit", "RateLimit-Policy")),
    500: ("The server failed; nothing was published.", ()),
    503: ("Overload or store trouble: nothing was published; try again.", ("Retry-After",)),
}
