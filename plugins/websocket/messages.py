"""The messages a client of `eventstream.v1` may send, as types. An unknown member is an error."""

from typing import Annotated, Any, Literal

import msgspec

from eventstream import Fault, JsonError, Meta, Reject, decode_json

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Patterns = list[Annotated[str, Meta(min_length=1)]]


class _Message(msgspec.Struct, tag_field="op", tag=str.lower, forbid_unknown_fields=True):
    """A JSON object whose `op` is the class's name."""


class Subscribe(_Message):
    """Ask for the events that match, from `after` on, under the name `id`."""

    id: Name
    type: str | Patterns = []
    source: str | Patterns = []
    subject: str | Patterns = []
    filter: dict[str, Any] | list[Any] = []
    after: str | None = None
    lag: Literal["replay", "disconnect"] = "replay"

    def patterns(self) -> dict[str, list[str]]:
        """Return the patterns by attribute."""
        given = {"type": self.type, "source": self.source, "subject": self.subject}
        return {name: [value] if isinstance(value, str) else value for name, value in given.items()}

    def expressions(self) -> list[Any]:
        """Return the dialect expressions."""
        return [self.filter] if isinstance(self.filter, dict) else self.filter


class Unsubscribe(_Message):
    """End a subscription."""

    id: Name


class Publish(_Message):
    """Publish one event, or several as one batch; with `partial` each stands for itself."""

    id: Name
    event: Any = msgspec.UNSET
    events: list[Any] | msgspec.UnsetType = msgspec.UNSET
    partial: bool = False


class Ping(_Message):
    """Ask for a pong; a browser cannot send the protocol's own ping."""

    id: Name | None = None


Message = Subscribe | Unsubscribe | Publish | Ping


class Malformed(Reject):
    """A message that cannot be understood; `id` is what it calls itself, if that much is clear."""

    id: str | None = None


def parse(data: bytes) -> Message:
    """Read one message (UTF-8); raises Malformed."""
    try:
        value = decode_json(data)
    except JsonError as error:
        raise Malformed(f"the message is not JSON: {error}", status=400, reason="malformed") from None
    try:
        return msgspec.convert(value, Message)  # type: ignore[no-any-return]  # a union is a type here
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        pointer = path.rstrip("`").replace(".", "/").replace("[", "/").replace("]", "")
        fault = Malformed(text, status=400, reason="malformed", faults=[Fault(text, pointer=pointer)])
        fault.id = _id_of(value)
        raise fault from None


def _id_of(value: Any) -> str | None:
    name = value.get("id") if isinstance(value, dict) else None
    return name if isinstance(name, str) and len(name) <= 64 else None
