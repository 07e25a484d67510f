"""The dialects of JSON Schema, each with its two judges made to agree.

The compiled judge (jsonschema-rs) gives every verdict; jsonschema explains refusals. jsonschema's
keywords that would differ from it, or cost more than linear time on a sender's data, are replaced
here, mostly by the compiled judge of that one keyword.
"""

import json
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jsonschema
import jsonschema_rs
from jsonschema_specifications import REGISTRY as METASCHEMAS  # type: ignore[import-untyped]  # it ships no types
from referencing import Specification
from referencing.jsonschema import DRAFT4, DRAFT6, DRAFT7, DRAFT201909, DRAFT202012

LINEAR = jsonschema_rs.RegexOptions(size_limit=4 * 2**20)  # an engine without backtracking


class SchemaError(Exception):
    """A schema cannot be used; the text says where and why."""


COMPILERS: dict[int, Any] = {
    4: jsonschema_rs.Draft4Validator,
    6: jsonschema_rs.Draft6Validator,
    7: jsonschema_rs.Draft7Validator,
    2019: jsonschema_rs.Draft201909Validator,
    2020: jsonschema_rs.Draft202012Validator,
}

Errors = Iterator[jsonschema.ValidationError]


@lru_cache(maxsize=4096)
def _compiled_keyword(draft: int, keyword: str, value: str) -> jsonschema_rs.Validator:
    compiled: jsonschema_rs.Validator = COMPILERS[draft](
        {keyword: json.loads(value)}, pattern_options=LINEAR, validate_formats=True, offline=True
    )
    return compiled


def _matches(draft: int, pattern: str, text: str) -> bool:
    return _compiled_keyword(draft, "pattern", json.dumps(pattern)).is_valid(text)


def _leaf(draft: int, keyword: str, validator: Any, value: Any, instance: Any, schema: Any) -> Errors:
    """Judge a keyword without subschemas as the compiled engine does."""
    if not _compiled_keyword(draft, keyword, json.dumps(value)).is_valid(instance):
        yield jsonschema.ValidationError(keyword)


def _required(validator: Any, names: Any, instance: Any, schema: Any) -> Errors:
    """Point at each missing member instead of at the object."""
    if validator.is_type(instance, "object"):
        yield from (jsonschema.ValidationError("required", path=[name]) for name in names if name not in instance)


def _pattern_properties(draft: int, validator: Any, patterns: Any, instance: Any, schema: Any) -> Errors:
    if validator.is_type(instance, "object"):
        for pattern, subschema in patterns.items():
            for name, value in instance.items():
                if _matches(draft, pattern, name):
                    yield from validator.descend(value, subschema, path=name, schema_path=pattern)


def _additional_properties(draft: int, validator: Any, allowed: Any, instance: Any, schema: Any) -> Errors:
    if not validator.is_type(instance, "object"):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, value in instance.items():
        if name in known or any(_matches(draft, pattern, name) for pattern in patterns):
            continue
        if allowed is False:
            yield jsonschema.ValidationError("additionalProperties", path=[name])
        else:
            yield from validator.descend(value, allowed, path=name)


def _extend(base: Any, draft: int) -> Any:
    keywords = {name: partial(_leaf, draft, name) for name in ("pattern", "format", "uniqueItems", "multipleOf")}
    replaced: dict[str, Any] = {
        **keywords,
        "required": _required,
        "patternProperties": partial(_pattern_properties, draft),
        "additionalProperties": partial(_additional_properties, draft),
        "dependencies": jsonschema.Draft7Validator.VALIDATORS["dependencies"],  # kept by the compiled judge
    }
    return jsonschema.validators.extend(base, replaced)  # type: ignore[no-untyped-call]  # a gap in its stubs


class Draft(NamedTuple):
    """One dialect, in the words of each library."""

    number: int
    explain: Any  # jsonschema's validator class, extended
    specification: Specification[Any]
    registry: int  # jsonschema-rs's name for it


DEFAULT_DRAFT = "https://json-schema.org/draft/2020-12/schema"
DRAFTS = {
    uri: Draft(number, _extend(explain, number), specification, registry)
    for uri, number, explain, specification, registry in (
        (DEFAULT_DRAFT, 2020, jsonschema.Draft202012Validator, DRAFT202012, jsonschema_rs.Draft202012),
        (
            "https://json-schema.org/draft/2019-09/schema",
            2019,
            jsonschema.Draft201909Validator,
            DRAFT201909,
            jsonschema_rs.Draft201909,
        ),
        ("http://json-schema.org/draft-07/schema", 7, jsonschema.Draft7Validator, DRAFT7, jsonschema_rs.Draft7),
        ("http://json-schema.org/draft-06/schema", 6, jsonschema.Draft6Validator, DRAFT6, jsonschema_rs.Draft6),
        ("http://json-schema.org/draft-04/schema", 4, jsonschema.Draft4Validator, DRAFT4, jsonschema_rs.Draft4),
    )
}
METASCHEMA_IDS = {id(METASCHEMAS.contents(uri)) for uri in METASCHEMAS}


def draft_of(schema: Any, default: Draft) -> Draft:
    """Return the dialect that `$schema` names; raises SchemaError for one that is not supported."""
    if not isinstance(schema, dict) or "$schema" not in schema:
        return default
    named = schema["$schema"]
    draft = DRAFTS.get(named.removesuffix("#")) if isinstance(named, str) else None
    if draft is None:
        raise SchemaError(f"$schema {named!r} is not supported: use one of {', '.join(DRAFTS)}")
    return draft


def is_linear(draft: int, pattern: str) -> bool:
    """Tell whether the engine without backtracking takes the pattern."""
    try:
        _matches(draft, pattern, "")
    except (ValueError, jsonschema_rs.ValidationError):
        return False
    return True


def is_format(name: str) -> bool:
    """Tell whether a format is known and so asserted."""
    try:
        jsonschema_rs.validator_for({"format": name}, validate_formats=True, ignore_unknown_formats=False)
    except (ValueError, jsonschema_rs.ValidationError):
        return False
    return True
