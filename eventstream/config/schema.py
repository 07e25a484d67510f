"""The editor's JSON Schema (2020-12) of a whole configuration file, with every installed component.

It is made from the same declarations that parse the file. Wherever a value is not free text, an
interpolation (`${env:NAME}`, `${file:path}`) may stand in its place.
"""

from __future__ import annotations

import json
from typing import Any

from eventstream.components.chain import Chain
from eventstream.components.cipher import AtRestConfig
from eventstream.components.identity import ANONYMOUS
from eventstream.components.key import NOTATIONS
from eventstream.components.store import Keep
from eventstream.config.build import VERSION
from eventstream.config.model import Server
from eventstream.config.type_schema import INTERPOLATION, schema_of, takes_nothing, value_schema
from eventstream.hooks.catalogue import Catalogue, Offer

JsonSchema = dict[str, Any]


def file_schema(catalogue: Catalogue) -> JsonSchema:
    """Return the schema of a configuration file."""
    definitions = {
        f"{kind}.{name}": _options(offer)
        for kind in ("step", "store", "output", "route", "keyring", "authenticator")
        for name, offer in catalogue.offers[kind].items()
    }
    definitions["interpolation"] = {"type": "string", "pattern": INTERPOLATION}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Event-Stream configuration",
        "description": "Pipelines of steps that every event runs through, the store behind them, and the outputs.",
        "type": "object",
        "required": ["version", "store", "pipelines"],
        "additionalProperties": False,
        "properties": {
            "version": {"const": VERSION, "description": "Version of this format."},
            "server": schema_of(Server),
            "store": _store(catalogue),
            "keys": _keys(),
            "auth": _auth(catalogue),
            "pipelines": {
                "type": "array",
                "minItems": 1,
                "description": "The first pipeline that matches an event runs it.",
                "items": _pipeline(catalogue),
            },
            "outputs": {
                "type": "array",
                "description": "How events leave.",
                "items": _named(catalogue, "output"),
            },
            "routes": {
                "type": "array",
                "description": "Further HTTP resources, by plugins.",
                "items": _named(catalogue, "route"),
            },
            "keyring": {
                "description": "Where keys live that change while the server runs.",
                **_named(catalogue, "keyring"),
            },
        },
        "$defs": definitions,
    }


def render(schema: JsonSchema) -> str:
    """Return the schema's text; equal schemas give equal text."""
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def summary(offer: Offer) -> str:
    """Return the first line of a component's docstring."""
    return (offer.component.__doc__ or "").strip().partition("\n")[0]


def _options(offer: Offer) -> JsonSchema:
    schema = dict(schema_of(offer.component.Config))
    schema["description"] = summary(offer)
    if offer.component.examples:
        schema["examples"] = list(offer.component.examples)
    if offer.kind == "step" and offer.component.mark is None and schema.get("type") == "object":
        choices = ["reject"] if offer.component.fail_closed else ["reject", "drop"]
        on_error = {
            "enum": choices,
            "default": "reject",
            "description": "What becomes of an event that this step refuses.",
        }
        schema["properties"] = schema.get("properties", {}) | {"on_error": on_error}
    return schema


def _reference(catalogue: Catalogue, kind: str, name: str) -> JsonSchema:
    reference: JsonSchema = {"$ref": f"#/$defs/{kind}.{name}"}
    offer = catalogue.offers[kind][name]
    if not takes_nothing(offer.component.Config):
        return reference
    return {"anyOf": [reference, {"type": "null"}], "description": summary(offer)}


def _named(catalogue: Catalogue, kind: str) -> JsonSchema:
    """Return the schema of a bare name or a one-key map."""
    offers = catalogue.offers[kind]
    bare = [
        {"const": name, "description": summary(offer)}
        for name, offer in sorted(offers.items())
        if takes_nothing(offer.component.Config)
    ]
    mapping = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": {name: _reference(catalogue, kind, name) for name in offers},
    }
    return {"anyOf": [*bare, mapping]}


def _store(catalogue: Catalogue) -> JsonSchema:
    names = sorted(catalogue.offers["store"])
    return {
        "type": "object",
        "description": "Where events are kept, and for how long.",
        "additionalProperties": False,
        "properties": {
            "keep": {**schema_of(Keep), "description": "Retention: an event goes when any of the bounds says so."},
            "at_rest": {**schema_of(AtRestConfig), "description": "Seal the data of stored events."},
            "chain": {**schema_of(Chain), "description": "Keep a hash chain over the events, for `verify-log`."},
            **{name: _reference(catalogue, "store", name) for name in names},
        },
        "oneOf": [{"required": [name]} for name in names],
    }


def _keys() -> JsonSchema:
    text = {"type": "string", "minLength": 1}
    return {
        "type": "object",
        "description": "Named keys, by environment or file; a list while rotating, newest first.",
        "additionalProperties": {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "properties": {
                kind: {"anyOf": [text, {"type": "array", "minItems": 1, "items": text}]} for kind in NOTATIONS
            },
        },
    }


def _auth(catalogue: Catalogue) -> JsonSchema:
    names = {"type": "string", "pattern": r"^[^*]+\*?$|^\*$"}
    return {
        "type": "object",
        "description": "How one tells who asks, and who may do what. Without it nobody is asked.",
        "additionalProperties": False,
        "properties": {
            "chain": {
                "description": "Authenticators, asked in turn until one knows the credential.",
                "type": "array",
                "items": _named(catalogue, "authenticator"),
            },
            "grants": {
                "description": "Who may do what; whatever is not granted is refused.",
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["to"],
                    "minProperties": 2,
                    "additionalProperties": False,
                    "properties": {
                        "to": {
                            "description": f"Names of identities, any end for a trailing *; `{ANONYMOUS}`: everybody.",
                            "anyOf": [names, {"type": "array", "minItems": 1, "items": names}],
                            "examples": ["shop", ["ops", "till-*"], ANONYMOUS],
                        },
                        "publish": _scopes("Which events may be published."),
                        "subscribe": _scopes("Which events may be read and subscribed to."),
                        "crypto": {"const": True, "description": "May use the crypto API."},
                        "admin": {"const": True, "description": "May use what is under `/-/`, and admin routes."},
                    },
                },
            },
        },
    }


def _scopes(description: str) -> JsonSchema:
    one = {**_patterns(), "minProperties": 1}
    return {
        "description": f"{description} `true`: all; else patterns, or a list of them of which one suffices.",
        "anyOf": [{"const": True}, one, {"type": "array", "minItems": 1, "items": one}],
        "examples": [{"type": "shop.*"}],
    }


def _patterns() -> JsonSchema:
    return {
        "type": "object",
        "propertyNames": {"pattern": "^[a-z0-9]{1,64}$"},
        "additionalProperties": value_schema(str | list[str]),
    }


def _pipeline(catalogue: Catalogue) -> JsonSchema:
    return {
        "type": "object",
        "required": ["name", "steps"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", "examples": ["orders"]},
            "match": {
                "description": "Attributes and the patterns they must match; without it every event matches.",
                **_patterns(),
                "examples": [{"type": "shop.order.*"}],
            },
            "steps": {
                "description": "What is done with each event, in this order.",
                "type": "array",
                "minItems": 1,
                "items": _named(catalogue, "step"),
            },
        },
    }
