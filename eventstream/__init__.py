"""Event-Stream's front door: everything a plugin may import. `__all__` is the promise."""

from eventstream.components.command import Command
from eventstream.components.component import Component, Config, Duration, Meta, NoConfig, Rate, Services, Size, convert
from eventstream.components.key import Key
from eventstream.components.ledger import Ledger, Take
from eventstream.components.output import (
    Connection,
    Delivery,
    Format,
    Gap,
    Hub,
    LagPolicy,
    Output,
    Response,
    Result,
    Route,
    Sent,
    Sink,
    Start,
    Stored,
    Subscription,
)
from eventstream.components.step import Context, Outcome, Request, Step
from eventstream.components.store import Conflict, Durability, Entry, Epoch, Keep, Page, Receipt, Record, Store
from eventstream.errors import (
    ConfigError,
    CursorError,
    Drop,
    EventStreamError,
    Fault,
    FilterError,
    Problem,
    Reject,
    StepError,
    StoreBusy,
)
from eventstream.events.codec import Form, Incoming, decode_stored, encode, from_mapping
from eventstream.events.cursor import Cursor
from eventstream.events.event import UNSET, Event
from eventstream.events.filter import EVERYTHING, Filter, parse_filter
from eventstream.events.strict_json import JsonError
from eventstream.events.strict_json import decode as decode_json
from eventstream.events.strict_json import encode as encode_json
from eventstream.hooks.specs import hookimpl

__all__ = [
    "EVERYTHING",
    "UNSET",
    "Command",
    "Component",
    "Config",
    "ConfigError",
    "Conflict",
    "Connection",
    "Context",
    "Cursor",
    "CursorError",
    "Delivery",
    "Drop",
    "Durability",
    "Duration",
    "Entry",
    "Epoch",
    "Event",
    "EventStreamError",
    "Fault",
    "Filter",
    "FilterError",
    "Form",
    "Format",
    "Gap",
    "Hub",
    "Incoming",
    "JsonError",
    "Keep",
    "Key",
    "LagPolicy",
    "Ledger",
    "Meta",
    "NoConfig",
    "Outcome",
    "Output",
    "Page",
    "Problem",
    "Rate",
    "Receipt",
    "Record",
    "Reject",
    "Request",
    "Response",
    "Result",
    "Route",
    "Sent",
    "Services",
    "Sink",
    "Size",
    "Start",
    "Step",
    "StepError",
    "Store",
    "StoreBusy",
    "Stored",
    "Subscription",
    "Take",
    "convert",
    "decode_json",
    "decode_stored",
    "encode",
    "encode_json",
    "from_mapping",
    "hookimpl",
    "parse_filter",
]
