"""Why data is refused, in words for its sender."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jsonschema_rs

from eventstream import Fault

_TEXTS = {
    "additionalProperties": "is not allowed here",
    "const": "must be {}",
    "enum": "must be one of {}",
    "exclusiveMaximum": "must be less than {}",
    "exclusiveMinimum": "must be more than {}",
    "falseSchema": "is not allowed here",
    "format": "must be a valid {}",
    "maxItems": "must have at most {} items",
    "maxLength": "must have at most {} characters",
    "maxProperties": "must have at most {} members",
    "maximum": "must be at most {}",
    "minItems": "must have at least {} items",
    "minLength": "must have at least {} characters",
    "minProperties": "must have at least {} members",
    "minimum": "must be at least {}",
    "multipleOf": "must be a multiple of {}",
    "pattern": "must match {}",
    "required": "is required",
    "type": "must be of type {}",
    "unevaluatedProperties": "is not allowed here",
    "uniqueItems": "must not hold equal items",
}


def fault(path: Iterable[str | int], keyword: str | None, limit: Any) -> Fault:
    """Describe a refusal by the schema's words, never by the data's values, which may be secret."""
    text = _TEXTS.get(keyword or "falseSchema", f"does not fit {keyword}")
    if "{}" in text:
        listed = " or ".join(limit) if keyword == "type" and isinstance(limit, list) else limit
        shown = listed if isinstance(listed, str) and keyword != "const" else json.dumps(listed, ensure_ascii=False)
        text = text.format(shown if len(shown) <= 200 else shown[:200] + "…")
    return Fault(text, pointer="/data" + pointer(path))


def compiled_faults(errors: Iterable[jsonschema_rs.ValidationError]) -> Iterator[Fault]:
    """Describe the compiled judge's refusals."""
    for error in errors:
        keyword, value = error.kind.name, error.kind.value
        names: Sequence[Any] = [value] if keyword == "required" else value if isinstance(value, list) else []
        if keyword in ("required", "additionalProperties", "unevaluatedProperties") and names:
            yield from (fault([*error.instance_path, name], keyword, None) for name in names)
        else:
            yield fault(error.instance_path, keyword, value)


def pointer(path: Iterable[str | int]) -> str:
    """Return the JSON pointer of a path (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
