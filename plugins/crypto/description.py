"""How the route describes itself in the OpenAPI document: each operation's request and reply, from their types."""

from collections.abc import Sequence
from inspect import cleandoc
from typing import Any

import msgspec

from eventstream_plugins.crypto.batch import ALL
from eventstream_plugins.crypto.operation import Operation, Reply
from eventstream_plugins.crypto.options import CryptoOptions

_PREFIX = "crypto."
_TEMPLATE = f"#/components/schemas/{_PREFIX}{{name}}"
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_REFUSALS = {
    "400": "Malformed: not JSON, no such operation, a field that is missing or not what it should be.",
    "403": "Not allowed here: keys brought or returned, or keys of this owner.",
    "413": "Too large: `limit` says what is taken.",
    "415": "Only application/json is taken.",
    "422": "A key that is not good, a text that does not open, a hash that costs too much.",
    "503": "Too many wait for a password's hash or a large cipher; try again.",
}
_EXAMPLES = {
    "hash": {"operation": "hash", "data": "aGVsbG8="},
    "random": {"operation": "random", "size": 16},
    "password": {"operation": "password_hash", "password": "correct horse"},
    "batch": [{"operation": "random", "size": 16}, {"operation": "compare", "a": "YQ==", "b": "YQ"}],
}


def describe(options: CryptoOptions) -> dict[str, Any]:
    """Return the parts of the OpenAPI operation, and the schemas that they refer to."""
    replies: list[type[Reply]] = sorted(Reply.__subclasses__(), key=lambda reply: reply.__name__)
    _, schemas = msgspec.json.schema_components([*ALL, *replies], schema_hook=_schema, ref_template=_TEMPLATE)
    for schema in schemas.values():
        schema["description"] = cleandoc(schema["description"])
    named = {f"{_PREFIX}{name}": schema for name, schema in schemas.items()}
    named[f"{_PREFIX}Request"] = _one_of(ALL)
    named[f"{_PREFIX}Reply"] = _one_of(replies)
    request, reply = _ref("Request"), _ref("Reply")
    problem = {"type": "object", "required": ["problem"], "properties": {"problem": _PROBLEM}}
    items = {"type": "array", "maxItems": options.batch}
    results = {
        "type": "object",
        "required": ["results"],
        "properties": {"results": {**items, "items": {"oneOf": [reply, problem]}}},
        "additionalProperties": False,
    }
    body = {"oneOf": [request, {**items, "items": request}]}
    examples = {name: {"value": value} for name, value in _EXAMPLES.items()}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": body, "examples": examples}}},
        "responses": {
            "200": {
                "description": "The reply, or those of all requests in their order.",
                "content": {"application/json": {"schema": {"oneOf": [reply, results]}}},
            },
            **{status: _refused(words) for status, words in _REFUSALS.items()},
        },
        "schemas": named,
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": _TEMPLATE.format(name=name)}


def _one_of(types: Sequence[type[Operation | Reply]]) -> dict[str, Any]:
    refs = {str(one.__struct_config__.tag): _ref(one.__name__)["$ref"] for one in types}
    return {
        "oneOf": [{"$ref": ref} for ref in refs.values()],
        "discriminator": {"propertyName": "operation", "mapping": refs},
    }


def _refused(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/problem+json": {"schema": _PROBLEM}}}


def _schema(target: type) -> dict[str, Any]:
    schema: dict[str, Any] = target.schema  # type: ignore[attr-defined]  # every type of ours in a field has one
    return schema
