"""Plain values to typed configuration: every fault is reported, where msgspec stops at the first."""

from __future__ import annotations

import re
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from eventstream.components.component import convert
from eventstream.config.draft import Draft, nearest
from eventstream.config.loader import Path

_STEP_OF_PATH = re.compile(r"\.([A-Za-z_][\w-]*)|\[(\d+)\]|(\[\.\.\.\])")
_NAMED_FIELD = re.compile(r"(\w+): (.+)", re.DOTALL)
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}


def read(draft: Draft, value: Any, target: Any, path: Path) -> Any:
    """Return `value` converted to `target`, or None once its faults are in the draft."""
    faults = draft.faults
    value = mend(draft, value, target, path)
    return convert(value, target) if draft.faults == faults else None


def mend(draft: Draft, value: Any, target: Any, path: Path) -> Any:
    """Report every fault of `value` as a `target`; return it still plain, ready to be converted.

    Interpolation makes text only. Where a number or a boolean is wanted, such a text (and only such
    a text: a quoted "5" in the file stays wrong) is read as one here.
    """
    faults = draft.faults
    value = _mend_parts(draft, value, target, path)
    if draft.faults > faults:
        return value
    try:
        convert(value, target)
    except msgspec.ValidationError as error:
        if isinstance(value, str) and path in draft.sources:
            try:
                return msgspec.convert(value, target, strict=False)
            except (msgspec.ValidationError, TypeError):  # TypeError: a type with a parser of its own
                pass
        _report(draft, error, target, path)
    return value


def _mend_parts(draft: Draft, value: Any, target: Any, path: Path) -> Any:
    kind = _fitting(_bare(target), value)
    if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _mend_fields(draft, value, kind, path)
    arguments = get_args(kind)
    if isinstance(value, list) and get_origin(kind) is list and arguments:
        return [mend(draft, one, arguments[0], (*path, index)) for index, one in enumerate(value)]
    if isinstance(value, dict) and get_origin(kind) is dict and arguments:
        for key in value:
            try:
                convert(key, arguments[0])
            except msgspec.ValidationError as error:
                draft.error((*path, key), f"{key}: {_in_words(str(error))}", key=True)
        return {key: mend(draft, one, arguments[1], (*path, key)) for key, one in value.items()}
    return value


def _mend_fields(draft: Draft, value: dict[str, Any], kind: type[msgspec.Struct], path: Path) -> dict[str, Any]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    mended: dict[str, Any] = {}
    for key, one in value.items():
        if key in fields:
            mended[key] = mend(draft, one, fields[key].type, (*path, key))
        elif kind.__struct_config__.forbid_unknown_fields:
            draft.error((*path, key), f"unknown field {key}", nearest(key, fields, "fields"), key=True)
    for name, field in fields.items():
        if field.required and name not in value:
            draft.error(path, f"field {name} is missing", _example(name, field.type), key=True)
    return mended


def _bare(target: Any) -> Any:
    """Return the type inside Annotated and Optional."""
    while True:
        if get_origin(target) is Annotated:
            target = get_args(target)[0]
        elif get_origin(target) in (Union, UnionType):
            members = [member for member in get_args(target) if member is not NoneType]
            if len(members) != 1:
                return target
            target = members[0]
        else:
            return target


def _fitting(kind: Any, value: Any) -> Any:
    """Return the only member of a union that takes this value's shape, else the union itself."""
    if get_origin(kind) not in (Union, UnionType) or not isinstance(value, dict | list):
        return kind
    shapes = (dict, msgspec.Struct) if isinstance(value, dict) else (list,)
    bare = [_bare(member) for member in get_args(kind)]
    fitting = [one for one in bare if issubclass(get_origin(one) or (one if isinstance(one, type) else object), shapes)]
    return fitting[0] if len(fitting) == 1 else kind


def _example(name: str, target: Any) -> str:
    for annotation in get_args(target)[1:] if get_origin(target) is Annotated else ():
        if isinstance(annotation, msgspec.Meta) and annotation.examples:
            return f"for example {name}: {msgspec.json.encode(annotation.examples[0]).decode()}"
    return ""


def _report(draft: Draft, error: msgspec.ValidationError, target: Any, path: Path) -> None:
    message, _, inside = str(error).partition(" - at `")
    for step in _STEP_OF_PATH.finditer(inside.partition("$")[2]):
        if step[3] or "key" in inside.partition("$")[0]:  # inside a mapping msgspec does not say where
            break
        path = (*path, step[1] or int(step[2]))
    named = _NAMED_FIELD.match(message)
    if named and named[1] in getattr(_bare(target), "__struct_encode_fields__", ()):
        path, message = (*path, named[1]), named[2]
    message = _in_words(message)
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    draft.error(path, f"{name}: {message}", _choices(message, target))


def _in_words(message: str) -> str:
    """Put msgspec's words into those of somebody who writes YAML."""

    def words(found: re.Match[str]) -> str:
        return " or ".join(_WORDS.get(one, one) for one in found[1].split(" | "))

    message = re.sub(r"`([^`]*)`", words, message)
    return message[:1].lower() + message[1:]


def _choices(message: str, target: Any) -> str:
    """Return a hint for a wrong word where only a few are right."""
    kind = _bare(target)
    wrong = re.match(r"invalid enum value '(.*)'", message)
    if get_origin(kind) is Literal and wrong:
        return nearest(wrong[1], [str(one) for one in get_args(kind)], "one of")
    return ""
