"""JSON Schema of a declared type.

msgspec writes the schemas of plain types. Structs and containers are walked here, because msgspec
cannot write defaults of types with a parser of their own (`Duration`), and to let an interpolation
stand for any value that is not free text.
"""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from eventstream.components.component import convert

_ANNOTATIONS = ("title", "description", "examples")

INTERPOLATION = r"\$\{(env|file):"

JsonSchema = dict[str, Any]


def schema_of(target: Any, *, inside: tuple[Any, ...] = ()) -> JsonSchema:
    """Return the schema of a type. `inside` are the structs around it: one that holds itself ends there."""
    origin, arguments = get_origin(target), get_args(target)
    if origin is Annotated:
        return _annotated(target, arguments, inside)
    if origin in (Union, UnionType):
        return {"anyOf": [schema_of(member, inside=inside) for member in arguments]}
    if origin is list and arguments:
        return {"type": "array", "items": value_schema(arguments[0], inside=inside)}
    if origin is dict and len(arguments) == 2:
        names = {name: part for name, part in schema_of(arguments[0]).items() if name != "type"}
        schema = {"type": "object", "additionalProperties": value_schema(arguments[1], inside=inside)}
        return schema | ({"propertyNames": names} if names else {})
    if isinstance(target, type) and issubclass(target, msgspec.Struct):
        return {} if target in inside else _struct(target, (*inside, target))
    return msgspec.json.schema(target, schema_hook=_own)


def value_schema(target: Any, *, inside: tuple[Any, ...] = ()) -> JsonSchema:
    """Return the schema of a value of this type, or of an interpolation in its place."""
    schema = schema_of(target, inside=inside)
    branches = schema.get("anyOf", [schema])
    if any(_is_free_text(branch) for branch in branches) or not any(_is_scalar(branch) for branch in branches):
        return schema
    annotations: JsonSchema = {name: schema[name] for name in _ANNOTATIONS if name in schema}
    bare = [{name: part for name, part in branch.items() if name not in annotations} for branch in branches]
    if "anyOf" in schema:
        bare = list(branches)
    return {"anyOf": [*bare, {"$ref": "#/$defs/interpolation"}], **annotations}


def takes_nothing(target: Any) -> bool:
    """Tell whether a component with this configuration may stand without options."""
    try:
        convert({}, target)
    except msgspec.ValidationError:
        return False
    return True


def _is_free_text(schema: JsonSchema) -> bool:
    return schema.get("type") == "string" and not {"pattern", "enum", "const", "format"} & schema.keys()


def _is_scalar(schema: JsonSchema) -> bool:
    return "enum" in schema or schema.get("type") in ("integer", "number", "boolean", "string")


def _annotated(target: Any, arguments: tuple[Any, ...], inside: tuple[Any, ...]) -> JsonSchema:
    inner = arguments[0]
    if get_origin(inner) is None and not (isinstance(inner, type) and issubclass(inner, msgspec.Struct)):
        return msgspec.json.schema(target, schema_hook=_own)
    schema = dict(schema_of(inner, inside=inside))
    for meta in arguments[1:]:
        if isinstance(meta, msgspec.Meta):
            bounds = ("minItems", "maxItems") if schema.get("type") == "array" else ("minProperties", "maxProperties")
            given = {
                "title": meta.title,
                "description": meta.description,
                "examples": meta.examples,
                bounds[0]: meta.min_length,
                bounds[1]: meta.max_length,
            }
            schema |= {name: value for name, value in given.items() if value is not None}
    return schema


def _struct(target: type[msgspec.Struct], inside: tuple[Any, ...]) -> JsonSchema:
    properties: dict[str, JsonSchema] = {}
    for field in msgspec.structs.fields(target):
        schema = dict(value_schema(field.type, inside=inside))
        default = _default(field)
        if default is not msgspec.NODEFAULT:
            schema["default"] = default
        properties[field.encode_name] = schema
    schema = {"type": "object", "properties": properties}
    required = [field.encode_name for field in msgspec.structs.fields(target) if field.required]
    if required:
        schema["required"] = required
    if target.__struct_config__.forbid_unknown_fields:
        schema["additionalProperties"] = False
    return schema


def _default(field: msgspec.structs.FieldInfo) -> Any:
    """Return the default as it would be written; none for parts that show their own defaults."""
    factory = field.default_factory
    value = field.default if factory is msgspec.NODEFAULT else factory()
    if value is msgspec.NODEFAULT or value is None or isinstance(value, msgspec.Struct):
        return msgspec.NODEFAULT
    return msgspec.to_builtins(value, enc_hook=_written, str_keys=True)


def _written(value: Any) -> Any:
    """Write a default of a type with a parser of its own."""
    return value.written() if hasattr(value, "written") else str(value)


def _own(target: type) -> JsonSchema:
    """Return the schema of a type with a parser of its own: text of a pattern, and numbers if it is one."""
    text: JsonSchema = {"type": "string"}
    if hasattr(target, "pattern"):
        text["pattern"] = target.pattern
    if issubclass(target, str) or not issubclass(target, int | float):
        return text
    return {"anyOf": [text, {"type": "number", "minimum": 0}]}
