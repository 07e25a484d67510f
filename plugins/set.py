"""The step `set`: constants and copies into an event's attributes."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from eventstream import Config, Context, Event, Fault, Meta, Reject, Step, from_mapping, hookimpl

Value = str | int | bool
FIXED = {
    "id": "an event's id is its sender's: repeats are known by it",
    "datacontenttype": "it describes data, which set does not change",
    "specversion": "it is always 1.0",
    "data": "set changes attributes only",
    "cursor": "it is set by this server only",
}
TEXT_ATTRIBUTES = frozenset({"source", "type", "subject", "time", "dataschema"})


class Copy(Config, frozen=True, rename={"source": "from"}):
    """A value taken from another attribute of the same event."""

    source: Annotated[
        str, Meta(description="The attribute to copy.", pattern="^[a-z0-9]{1,64}$", examples=["source", "subject"])
    ]
    default: Annotated[
        Value | None,
        Meta(description="The value when the event lacks that attribute. Without it nothing is set then."),
    ] = None


AttributeName = Annotated[str, Meta(pattern="^[a-z0-9]{1,64}$")]
SetConfig = Annotated[
    dict[AttributeName, Value | Copy],
    Meta(
        description="Attribute names, each with a constant or `{from: attribute}`.",
        min_length=1,
        examples=[{"subject": "orders", "region": {"from": "source", "default": "eu"}}],
    ),
]


class SetStep(Step):
    """Set attributes to constants, or to copies of other attributes.

    Every copy is taken from the event as it came to this step, so `{a: {from: b}, b: {from: a}}` swaps.
    A copy from an attribute that the event lacks uses `default`, else leaves the target as it is. A
    number or boolean copied into an attribute of the specification is written as text (`42`, `true`).
    `id`, `data` and `datacontenttype` cannot be set, and constants must obey the rules of their
    attribute: `eventstream check` judges them.

    Errors: 422 with a pointer when a copied value is not valid for its target (a `time` that is no
    timestamp, an empty `subject`).
    """

    name = "set"
    Config = SetConfig
    config: dict[str, Value | Copy]
    examples: ClassVar[list[Any]] = [
        {"subject": "orders", "region": {"from": "source"}},
        {"tenant": {"from": "subject", "default": "all"}},
    ]

    def __init__(self, config: dict[str, Value | Copy]) -> None:
        super().__init__(config)
        self._constants: dict[str, Value] = {}
        self._copies: list[tuple[str, Copy]] = []
        for name, wanted in config.items():
            if name in FIXED:
                raise ValueError(f"{name}: cannot be set, since {FIXED[name]}")
            if isinstance(wanted, Copy):
                self._copies.append((name, wanted))
                constant = wanted.default
            else:
                constant = self._constants[name] = wanted
            fault = None if constant is None else _fault_in(name, constant)
            if fault:
                raise ValueError(f"{name}: {fault}")

    def process(self, event: Event, context: Context) -> Event:
        """Return the event with its attributes set."""
        values = dict(self._constants)
        faults: list[Fault] = []
        for name, copy in self._copies:
            value = event.get(copy.source)
            if value is None:
                if copy.default is not None:
                    values[name] = copy.default
                continue
            values[name] = value = _as_target(name, value)
            fault = _fault_in(name, value) if name in TEXT_ATTRIBUTES else None
            if fault:
                faults.append(Fault(f"{fault} (copied from {copy.source})", pointer=f"/{copy.source}"))
        if faults:
            raise Reject("an attribute cannot be copied", status=422, reason="attribute", faults=faults)
        return _with_attributes(event, values)

    def lint(self, before: Sequence[Step]) -> str | None:
        """Warn when a sealed envelope would no longer open."""
        sealed = sorted({"source", "subject", "time", "type"} & self.config.keys())
        if sealed and any(step.name == "encrypt" for step in before):
            return f"{' and '.join(sealed)} changed behind encrypt: the envelope will not open; put set before it"
        return None


def _with_attributes(event: Event, values: dict[str, Value]) -> Event:
    known: dict[str, Any] = {name: value for name, value in values.items() if name in TEXT_ATTRIBUTES}
    if len(known) != len(values):
        others = {name: value for name, value in values.items() if name not in TEXT_ATTRIBUTES}
        known["extensions"] = {**event.extensions, **others}
    return event.replace(**known) if known else event


def _as_target(name: str, value: Value) -> Value:
    """Write a number or boolean as CloudEvents 3.1 does where only text may stand."""
    return str(value).lower() if name in TEXT_ATTRIBUTES and not isinstance(value, str) else value


def _fault_in(name: str, value: Value) -> str | None:
    """Say what is wrong with the attribute, judged by decoding an event that carries it."""
    try:
        from_mapping({"specversion": "1.0", "id": "-", "source": "/", "type": "-", name: value})
    except Reject as refusal:
        return "; ".join(fault.detail for fault in refusal.faults)
    return None


@hookimpl
def eventstream_steps() -> Sequence[type[Step]]:
    """Offer `set`."""
    return [SetStep]
