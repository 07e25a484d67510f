"""The step `validate`: JSON Schema over an event's data."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from eventstream import (
    UNSET,
    Config,
    ConfigError,
    Context,
    Event,
    Fault,
    Keys,
    Meta,
    Problem,
    Reject,
    Services,
    Step,
    hookimpl,
)

if TYPE_CHECKING:
    from eventstream_plugins.validate.schema import Schema


class ValidateConfig(Config, frozen=True):
    """Options of `validate`."""

    schema: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(
            description="The schema file for every event of this pipeline, relative to the configuration file.",
            examples=["schemas/order.json"],
        ),
    ] = None
    schemas: Annotated[
        str,
        Meta(
            description="Without `schema`: the folder of schemas named by event type, such as "
            "`shop.order.created.json`. Files named `….schema.json` are for other uses and left out.",
            min_length=1,
            examples=["schemas"],
        ),
    ] = "schemas"
    unknown: Annotated[
        Literal["accept", "reject"],
        Meta(description="What to do with a type that has no schema in the folder.", examples=["reject"]),
    ] = "accept"

    def __post_init__(self) -> None:
        if self.schema is not None and (self.schemas != "schemas" or self.unknown != "accept"):
            raise ValueError("schema: is for every event; schemas and unknown have no meaning beside it")


class ValidateStep(Step):
    """Refuse events whose data does not fit a JSON Schema.

    The schema is one file, or is found by the event's type in a folder. Dialects 2020-12 (the default),
    2019-09, 7, 6 and 4, by `$schema`. `format` is asserted. `$ref` leads to files of the schema's own
    folder, by name or `$id`; nothing is fetched from a network, and all files share one dialect. Patterns
    run in linear time: lookaround and backreferences are refused when the schema is loaded. Schemas are
    read at start; reload the configuration to read them again.

    An event without data is judged as null, and binary data fits no schema.

    Errors: 422 with up to 20 pointers into the event, which name the schema's demand and not the data's
    values; 422 for a type without a schema under `unknown: reject`.
    """

    name = "validate"
    Config = ValidateConfig
    config: ValidateConfig
    examples: ClassVar[list[Any]] = [{}, {"unknown": "reject"}, {"schemas": "contracts"}]

    def __init__(self, config: ValidateConfig | None = None) -> None:
        super().__init__(config)
        self._only: Schema | None = None
        self._by_type: dict[str, Schema] = {}
        self._problems: list[Problem] | None = None

    def check(self, folder: str, keys: Keys) -> Iterable[Problem]:
        """Load every schema and report each that cannot be used."""
        self._problems = self._load(Path(folder))
        return self._problems

    def open(self, services: Services) -> None:
        """Take the schemas as they were when the configuration was checked: files may have changed since."""
        self._pause = services.pause
        self._count = services.count
        found = self.check(services.folder, services.keys) if self._problems is None else self._problems
        problems = [problem for problem in found if problem.severity == "error"]
        if problems:
            raise ConfigError(problems)

    def process(self, event: Event, context: Context) -> Event:
        """Return the event when its data fits; raises Reject."""
        schema = self._only or self._by_type.get(event.type)
        if schema is None:
            return self._unknown(event)
        if isinstance(event.data, bytes):
            raise _refusal([Fault("is binary, and the schema is for JSON", pointer="/data_base64")])
        data = None if event.data is UNSET else event.data
        if schema.is_valid(data):
            return event
        self._pause()  # to explain costs far more than to judge
        raise _refusal([Fault("is required", pointer="/data")] if event.data is UNSET else schema.faults(data))

    def lint(self, before: Sequence[Step]) -> str | None:
        """Warn when unknown types pass."""
        if self.config.schema is None and self.config.unknown == "accept":
            return "events of a type without a schema are accepted unjudged; say unknown: reject to refuse them"
        return None

    def _unknown(self, event: Event) -> Event:
        if self.config.unknown == "reject":
            raise _refusal([Fault(f"there is no schema for {event.type[:200]!r}", pointer="/type")])
        self._count("unknown_type")
        return event

    def _load(self, folder: Path) -> list[Problem]:
        if self.config.schema is not None:
            path = folder / self.config.schema
            found, problems = _load(path.parent, [path.name], "/schema")
            self._only = found.get(path.name)
            return problems
        path = folder / self.config.schemas
        if not path.is_dir():
            severity: Literal["error", "warning"] = "warning" if self.config.unknown == "accept" else "error"
            hint = "create it, with one <event type>.json for each type"
            return [Problem(f"there is no folder {path}", "/schemas", hint, severity=severity)]
        names = [file.name for file in sorted(path.glob("*.json")) if not file.name.endswith(".schema.json")]
        found, problems = _load(path, names, "/schemas")
        self._by_type = {name.removesuffix(".json"): schema for name, schema in found.items()}
        return problems


def _load(folder: Path, names: Sequence[str], pointer: str) -> tuple[dict[str, "Schema"], list[Problem]]:
    if not names:
        return {}, []
    # The two engines take 60 ms and 9 MiB at start: only a server that has schemas pays for them.
    from eventstream_plugins.validate.dialects import SchemaError  # noqa: PLC0415
    from eventstream_plugins.validate.folder import Folder  # noqa: PLC0415
    from eventstream_plugins.validate.schema import Schema  # noqa: PLC0415

    files = Folder(folder)
    found: dict[str, Schema] = {}
    problems: list[Problem] = []
    for name in names:
        try:
            found[name] = Schema(files, name)
        except SchemaError as error:
            problems.append(Problem(f"schema {folder / name}: {error}", pointer))
        else:
            warnings = found[name].warnings
            problems += [Problem(f"schema {folder / name}: {text}", pointer, severity="warning") for text in warnings]
    return found, problems


def _refusal(faults: list[Fault]) -> Reject:
    return Reject("the event's data does not fit its schema", status=422, reason="schema", faults=faults)


@hookimpl
def eventstream_steps() -> Sequence[type[Step]]:
    """Offer `validate`."""
    return [ValidateStep]
