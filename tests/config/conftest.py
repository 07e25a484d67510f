"""A small plugin with one component of each interesting kind, and settings built over it."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import pluggy
import pytest

from eventstream import Authenticator, Config, Duration, Meta, Output, Problem, Rate, Step, Store, hookimpl
from eventstream.config.build import load_settings
from eventstream.errors import ConfigError
from eventstream.hooks import specs
from eventstream.hooks.catalogue import build_catalogue


class LimitConfig(Config, frozen=True):
    """Options of the sample limit."""

    rate: Annotated[Rate, Meta(description="How fast.", examples=["100/s"])]
    burst: Annotated[int, Meta(ge=1)] | None = None
    by: Literal["key", "client"] = "client"
    window: Duration = Duration(90)
    deep: bool = False

    def __post_init__(self) -> None:
        if self.burst == 13:
            raise ValueError("burst: 13 is never right")


class Limit(Step):
    """Limit the sample."""

    name = "limit"
    Config = LimitConfig
    fail_closed = True

    def lint(self, before: Sequence[Step]) -> str | None:
        wanted = self.config.by == "key" and not any(step.name == "verify" for step in before)
        return "put verify before it" if wanted else None


class ValidateConfig(Config, frozen=True):
    """Options of the sample validate."""

    schema: str | None = None


class Validate(Step):
    """Validate the sample."""

    name = "validate"
    Config = ValidateConfig

    def check(self, folder: str, keys: object) -> Iterable[str | Problem]:
        if self.config.schema and not (Path(folder) / self.config.schema).is_file():
            yield Problem(f"{self.config.schema} is missing", pointer="/schema", hint="write it")
        if self.config.schema == "odd":
            yield "odd name"


class Verify(Step):
    """Verify the sample."""

    name = "verify"
    identifies = True


class Encrypt(Step):
    """Encrypt the sample."""

    name = "encrypt"


class Rename(Step):
    """Take a mapping of any names."""

    name = "rename"
    Config = Annotated[dict[Annotated[str, Meta(pattern="^[a-z]+$")], str | LimitConfig], Meta(min_length=1)]


class Persist(Step):
    """Store."""

    name = "persist"
    mark = "persist"


class FanOut(Step):
    """Deliver."""

    name = "fan_out"
    mark = "fan_out"


class Memory(Store):
    """Keep events in this process."""

    name = "memory"
    shared = False

    def keep(self, keep) -> None:
        self.kept = keep


class DiskConfig(Config, frozen=True):
    """Options of the sample disk."""

    path: str


class Disk(Store):
    """Keep events on the disk."""

    name = "disk"
    Config = DiskConfig

    def keep(self, keep) -> None:
        self.kept = keep


class SseConfig(Config, frozen=True):
    """Options of the sample sse."""

    path: str = "/events"


class Sse(Output):
    """Stream."""

    name = "sse"
    Config = SseConfig


class BadgeConfig(Config, frozen=True):
    """Options of the sample badge."""

    header: str = "badge"


class Badge(Authenticator):
    """Believe a header."""

    name = "badge"
    Config = BadgeConfig


class Sample:
    """The plugin."""

    @hookimpl
    def eventstream_steps(self):
        return [Limit, Validate, Verify, Encrypt, Rename, Persist, FanOut]

    @hookimpl
    def eventstream_stores(self):
        return [Memory, Disk]

    @hookimpl
    def eventstream_outputs(self):
        return [Sse]

    @hookimpl
    def eventstream_authenticators(self):
        return [Badge]


@pytest.fixture(scope="session")
def catalogue():
    manager = pluggy.PluginManager(specs.PROJECT)
    manager.add_hookspecs(specs)
    manager.register(Sample(), "sample")
    return build_catalogue(manager)


@pytest.fixture
def load(catalogue, tmp_path):
    """Load a text as a file of tmp_path; `environ` and `overrides` as keywords."""

    def run(text, environ=None, **overrides):
        return load_settings(text, str(tmp_path / "p.yaml"), catalogue, environ or {}, overrides=overrides)

    return run


@pytest.fixture
def problems(load):
    """Load a text that must be refused, and return its problems as `line:column severity message`."""

    def run(text, environ=None, **overrides):
        with pytest.raises(ConfigError) as caught:
            load(text, environ, **overrides)
        return [f"{one.line}:{one.column} {one.severity} {one.message}" for one in caught.value.problems]

    return run
