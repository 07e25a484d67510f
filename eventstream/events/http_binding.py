"""CloudEvents over HTTP (HTTP protocol binding 1.0.2): which form a request has, and its events."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from eventstream.errors import Fault, Reject
from eventstream.events import quick, strict_json
from eventstream.events.attributes import fault_in
from eventstream.events.codec import Form, Incoming, build, fingerprint_of, from_mapping, is_json, malformed
from eventstream.events.event import UNSET


class Decoded(NamedTuple):
    """A request's events, each decoded or refused, in their order."""

    form: Form
    items: Sequence[Incoming | Reject]


def decode_request(
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    max_batch: int,
    max_depth: int = strict_json.MAX_DEPTH,
    attributes: Mapping[str, str] | None = None,
) -> Decoded:
    """Decode a POSTed body. Header names are lower-case.

    With `attributes`, a body of plain JSON is no event but the data of the one that has them.

    Raises Reject when the request as a whole is wrong: 400, 413 for a batch over `max_batch`
    events, 415 for a media type that is none of ours.
    """
    media_type = headers.get("content-type", "")
    essence = media_type.partition(";")[0].strip().lower()
    if essence.startswith("application/cloudevents-batch"):  # before its own prefix below
        _need_json(essence, "application/cloudevents-batch+json")
        read = quick.read_batch(body, max_batch, max_depth)
        return Decoded(Form.BATCH, _batch(_parse(body, max_depth), max_batch) if read is None else read)
    if essence.startswith("application/cloudevents"):
        _need_json(essence, "application/cloudevents+json")
        return Decoded(Form.STRUCTURED, [quick.read_whole(body, max_depth) or from_mapping(_parse(body, max_depth))])
    for name in headers:
        if name.startswith("ce-"):
            return Decoded(Form.BINARY, [_binary(headers, media_type, body, max_depth)])
    if essence == "application/json" and attributes is not None:
        return Decoded(Form.DATA, [_plain({**attributes, "data": _parse(body, max_depth)}, now)])
    if essence == "application/json":
        return Decoded(Form.PLAIN, [quick.read_plain(body, max_depth, now) or _plain(_parse(body, max_depth), now)])
    raise Reject(
        f"media type {essence or 'missing'!r} is not accepted: send application/json, "
        "application/cloudevents+json, application/cloudevents-batch+json, or ce- headers",
        status=415,
        reason="media_type",
    )


def _need_json(essence: str, wanted: str) -> None:
    if essence not in (wanted, wanted.removesuffix("+json")):
        raise Reject(f"event format {essence!r} is not accepted: send {wanted}", status=415, reason="media_type")


def _parse(body: bytes, max_depth: int) -> Any:
    try:
        return strict_json.decode(body, max_depth=max_depth)
    except strict_json.JsonError as error:
        raise malformed(f"the body is not JSON: {error}") from None


def _plain(fields: Any, now: float) -> Incoming:
    if isinstance(fields, list):
        raise malformed("a list of events needs Content-Type: application/cloudevents-batch+json")
    return from_mapping(fields, plain=True, now=now)


def _batch(fields: Any, max_batch: int) -> list[Incoming | Reject]:
    if not isinstance(fields, list):
        raise malformed("a batch is a JSON array of events")
    if len(fields) > max_batch:
        raise Reject(
            f"{len(fields)} events in one batch, at most {max_batch} are taken",
            status=413,
            reason="too_large",
            members={"limit": max_batch},
        )
    items: list[Incoming | Reject] = []
    for entry in fields:
        try:
            items.append(from_mapping(entry))
        except Reject as refusal:
            items.append(refusal)
    return items


def _binary(headers: Mapping[str, str], media_type: str, body: bytes, max_depth: int) -> Incoming:
    faults: list[Fault] = []
    given: dict[str, Any] = {}
    for header, raw in headers.items():
        if not header.startswith("ce-"):
            continue
        name = header.removeprefix("ce-")
        value, fault = _header_value(raw)
        if name == "datacontenttype":
            fault = "must not be sent: Content-Type is the datacontenttype"
        elif fault is None and name != "specversion":
            fault = fault_in(name, value)
        if fault:
            faults.append(Fault(f"{header} {fault}", pointer=f"/{name}"))
        given[name] = value
    if given.pop("specversion", None) != "1.0":
        faults.append(Fault("ce-specversion must be 1.0", pointer="/specversion"))
    missing = [name for name in ("id", "source", "type") if name not in given]
    faults += [Fault(f"ce-{name} is required", pointer=f"/{name}") for name in missing]
    if media_type:
        fault = fault_in("datacontenttype", media_type)
        if fault:
            faults.append(Fault(f"Content-Type {fault}", pointer="/datacontenttype"))
        given["datacontenttype"] = media_type
    if faults:
        raise malformed("the ce- headers are not a valid event", faults)
    data = _binary_data(media_type, body, max_depth)
    return Incoming(build(given, data), fingerprint_of(given, data))


def _binary_data(media_type: str, body: bytes, max_depth: int) -> Any:
    if not body:
        return UNSET
    if media_type and is_json(media_type):
        return _parse(body, max_depth)
    if media_type.lower().startswith("text/"):
        try:
            return body.decode()
        except UnicodeDecodeError:
            return body
    return body


_LOOSE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_QUOTED_PAIR = re.compile(r"\\(.)")


def _header_value(raw: str) -> tuple[str, str | None]:
    """Decode a ce- header (section 3.1.3.2): unquote, then one round of percent-decoding.

    `raw` holds the header's bytes as Latin-1, as WSGI gives them. Returns the value and a fault.
    """
    text = raw.strip(" \t")
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = _QUOTED_PAIR.sub(r"\1", text[1:-1])
    if _LOOSE_PERCENT.search(text):
        return "", "holds % without two hex digits"
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode(), None
    except UnicodeError:  # overlong and surrogate encodings included
        return "", "is not UTF-8 after percent-decoding"
