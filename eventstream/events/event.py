"""The one value that flows through everything: an immutable CloudEvents 1.0 event."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

UNSET = msgspec.UNSET

CONTEXT_ATTRIBUTES = ("id", "source", "type", "time", "subject", "datacontenttype", "dataschema")
ATTRIBUTE_NAME = re.compile(r"[a-z0-9]{1,64}\Z")
RESERVED_NAMES = frozenset({"data", "data_base64", "specversion"})
RESERVED_TYPE_PREFIX = "eventstream."  # control events to WebSocket subscribers; refused at ingest

AttributeValue = str | int | bool
NO_EXTENSIONS: Mapping[str, AttributeValue] = MappingProxyType({})


# The tag and the fields' order are those of the JSON format, so that `codec.encode` can mostly write it as it is.
class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="specversion", tag="1.0"):
    """One CloudEvents 1.0 event. Never changed in place: steps call `replace`.

    `data` is any JSON value, `bytes` for binary data, or `UNSET` when the event carries none.
    `extensions` holds every attribute beyond the specification's own.
    """

    id: str
    source: str
    type: str
    time: str | None = None
    subject: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    data: Any = UNSET
    extensions: Mapping[str, AttributeValue] = NO_EXTENSIONS

    def replace(self, **changes: Any) -> Event:
        """Return a copy with these fields changed."""
        return msgspec.structs.replace(self, **changes)

    def get(self, name: str) -> AttributeValue | None:
        """Return the attribute of this name (never `data`), or None when it is not set."""
        if name in CONTEXT_ATTRIBUTES:
            value: AttributeValue | None = getattr(self, name)
            return value
        if name == "specversion":
            return "1.0"
        return self.extensions.get(name)

    def with_attribute(self, name: str, value: AttributeValue | None) -> Event:
        """Return a copy with one attribute set, or unset when `value` is None."""
        if name in CONTEXT_ATTRIBUTES:
            return self.replace(**{name: value})
        extensions = dict(self.extensions)
        extensions.pop(name, None)
        if value is not None:
            extensions[name] = value
        return self.replace(extensions=extensions)
