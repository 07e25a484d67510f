"""From a request's body to replies: one operation, or an array of them."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from eventstream import Fault, JsonError, Reject, StoreBusy, convert, decode_json
from eventstream.wire.problem import problem
from eventstream_plugins.crypto.ciphers import Box, BoxOpen, Decrypt, Encrypt, SealBox, SealedBoxOpen
from eventstream_plugins.crypto.desk import Desk
from eventstream_plugins.crypto.digests import Compare, Hash, Random
from eventstream_plugins.crypto.fields import Binary
from eventstream_plugins.crypto.keys import GenerateKey, PublicKey, RegisterKey, ValidateKey
from eventstream_plugins.crypto.operation import Operation, Reply
from eventstream_plugins.crypto.passwords import PasswordHash, PasswordVerify
from eventstream_plugins.crypto.refusals import busy, malformed, too_large
from eventstream_plugins.crypto.signatures import Sign, Verify

ALL: tuple[type[Operation], ...] = (
    GenerateKey, PublicKey, ValidateKey, RegisterKey, Box, BoxOpen, SealBox, SealedBoxOpen, Encrypt, Decrypt,
    Sign, Verify, Hash, PasswordHash, PasswordVerify, Compare, Random,
)  # fmt: skip
OPERATIONS: Mapping[str, type[Operation]] = {str(one.__struct_config__.tag): one for one in ALL}
MAX_DEPTH = 8
_FIELD = re.compile(r"Object (missing required|contains unknown) field `(.{1,64}).*`", re.DOTALL)
_PLACE = re.compile(r"(.*) - at `\$(.*)`", re.DOTALL)


def run_body(body: bytes, desk: Desk, pause: Callable[[], None]) -> Reply | dict[str, Any]:
    """Run what a body asks for; raises Reject for a single request, which in an array is a problem in its place."""
    try:
        value = decode_json(body, max_depth=MAX_DEPTH)
    except JsonError as error:
        raise malformed(f"the body is not JSON: {error}") from None
    if not isinstance(value, list):
        return run(value, desk)
    if len(value) > desk.options.batch:
        detail = f"{len(value)} requests; at most {desk.options.batch} are taken at once"
        raise Reject(detail, status=413, reason="too_large", members={"limit": desk.options.batch})
    results: list[Reply | dict[str, Any]] = []
    for index, one in enumerate(value):
        try:
            results.append(run(one, desk))
        except Reject as refusal:
            results.append({"problem": problem(_placed(refusal, index))})
        pause()
    return {"results": results}


def run(value: Any, desk: Desk) -> Reply:
    """Run one request; raises Reject."""
    operation = read(value)
    for name in operation.__struct_fields__:
        field = getattr(operation, name)
        if isinstance(field, Binary) and len(field) > desk.options.data + field.added:
            raise too_large(desk.options.data + field.added, f"/{name}")
    try:
        reply: Reply = operation.run(desk)
    except StoreBusy:
        raise busy("the keyring cannot take keys right now") from None
    return reply


def read(value: Any) -> Operation:
    """Return the operation that a JSON value asks for; raises Reject 400."""
    if not isinstance(value, dict):
        raise malformed('a request is an object: {"operation": …}')
    name = value.get("operation")
    if not isinstance(name, str):
        raise malformed(f"operation is missing; there are {', '.join(OPERATIONS)}", "/operation")
    if name not in OPERATIONS:
        raise malformed(f"there is no operation {name[:64]!r}; {_nearest(name)}", "/operation")
    try:
        operation: Operation = convert(value, OPERATIONS[name])
    except msgspec.ValidationError as error:
        raise malformed(*_described(str(error), name)) from None
    return operation


def _nearest(name: str) -> str:
    close: Sequence[str] = difflib.get_close_matches(name[:64], OPERATIONS, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(OPERATIONS)}"


def _described(text: str, operation: str) -> tuple[str, str]:
    """Return msgspec's words, which hold no value of a field, as what is wrong and the JSON pointer of where."""
    found = _PLACE.fullmatch(text)
    detail, pointer = (found[1], found[2].replace(".", "/")) if found is not None else (text, "")
    field = _FIELD.fullmatch(detail)
    if field is None:
        return (f"expected {_choices(operation, pointer)}" if detail.startswith("Invalid enum") else detail), pointer
    trouble = f"{operation} needs {field[2]}" if field[1] == "missing required" else f"{operation} has no {field[2]}"
    return trouble, f"{pointer}/{field[2].replace('~', '~0').replace('/', '~1')}"


def _choices(operation: str, pointer: str) -> str:
    """Return the values that a field of named values takes; what was given instead may be secret."""
    hint = get_type_hints(OPERATIONS[operation])[pointer.removeprefix("/")]
    names = [name for part in (hint, *get_args(hint)) if get_origin(part) is Literal for name in get_args(part)]
    return " or ".join(names)


def _placed(refusal: Reject, index: int) -> Reject:
    """Return a refusal with its pointers starting at its place in the array."""
    faults = refusal.faults or [Fault(refusal.detail)]
    return replace(refusal, faults=[replace(fault, pointer=f"/{index}{fault.pointer}") for fault in faults])
