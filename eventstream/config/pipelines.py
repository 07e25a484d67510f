"""The section `pipelines`: which events each takes, and its steps in order."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from eventstream.components.step import Step
from eventstream.config.components import Builder
from eventstream.config.draft import Draft, nearest
from eventstream.config.loader import Path
from eventstream.config.patterns import read_patterns
from eventstream.events.filter import Filter

_FIELDS = ("name", "match", "steps")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_LATER = "dead_letter"


@dataclass(frozen=True, slots=True)
class StepDraft:
    """One step as written; `step` is None where it could not be built, so that order can still be judged."""

    path: Path
    name: str
    kind: type[Step] | None
    step: Step | None
    on_error: Literal["reject", "drop"]


@dataclass(frozen=True, slots=True)
class PipelineDraft:
    """One pipeline as written; `match` is None where it could not be read."""

    path: Path
    name: str
    match: Filter | None
    steps: list[StepDraft] = field(default_factory=list)


def read_pipelines(builder: Builder, value: Any) -> list[PipelineDraft]:
    """Read every pipeline; what is wrong goes into the builder's draft."""
    draft = builder.draft
    if value is None:  # reported as a missing section
        return []
    if not isinstance(value, list) or not value:
        draft.error(("pipelines",), "pipelines: expected a list of at least one pipeline")
        return []
    pipelines: list[PipelineDraft] = []
    names: dict[str, Path] = {}
    for index, entry in enumerate(value):
        path: Path = ("pipelines", index)
        if not isinstance(entry, dict):
            draft.error(path, "a pipeline is a mapping", "for example {name: default, steps: [persist, fan_out]}")
            continue
        pipeline = _read_pipeline(builder, entry, path)
        if pipeline.name in names:
            line = draft.document.place(names[pipeline.name]).line
            draft.error((*path, "name"), f"pipeline {pipeline.name} stands already in line {line}")
        names.setdefault(pipeline.name, (*path, "name"))
        pipelines.append(pipeline)
    return pipelines


def _read_pipeline(builder: Builder, entry: dict[str, Any], path: Path) -> PipelineDraft:
    draft = builder.draft
    for key in entry:
        if key not in _FIELDS:
            draft.error((*path, key), f"unknown field {key}", nearest(key, _FIELDS, "fields"), key=True)
    name = entry.get("name")
    if not isinstance(name, str):
        draft.error((*path, "name"), "a pipeline needs a name", "for example name: orders")
        name = f"#{path[-1]}"
    elif not _NAME.match(name):
        draft.error((*path, "name"), f"{name!r} is no pipeline name", "letters, digits, _ and -, at most 64")
    given = entry.get("match")
    match = Filter() if given is None else read_patterns(draft, given, (*path, "match"))
    steps = entry.get("steps")
    if not isinstance(steps, list) or not steps:
        draft.error((*path, "steps"), "a pipeline needs a list of steps", "for example steps: [persist, fan_out]")
        steps = []
    read = (_read_step(builder, one, (*path, "steps", index)) for index, one in enumerate(steps))
    return PipelineDraft(path, name, match, [step for step in read if step is not None])


def _read_step(builder: Builder, entry: Any, path: Path) -> StepDraft | None:
    named = builder.named("step", entry, path)
    if named is None:
        return None
    name, options, options_path = named
    offer = builder.catalogue.get("step", name)
    kind = offer.component if offer is not None else None
    on_error: Literal["reject", "drop"] = "reject"
    if isinstance(options, dict) and "on_error" in options:
        on_error = _read_on_error(builder.draft, name, kind, options["on_error"], (*options_path, "on_error"))
        options = {key: value for key, value in options.items() if key != "on_error"} or None
    step = builder.build("step", name, options, options_path)
    return StepDraft(path, name, kind, step, on_error)


def _read_on_error(
    draft: Draft, name: str, kind: type[Step] | None, value: Any, path: Path
) -> Literal["reject", "drop"]:
    if value == _LATER:
        draft.error(path, f"on_error: {_LATER} comes later", "write reject or drop")
    elif value not in ("reject", "drop"):
        draft.error(
            path, f"on_error: {value!r} is neither reject nor drop", nearest(str(value), ("reject", "drop"), "one of")
        )
    elif value == "drop" and kind is not None and kind.mark is not None:
        draft.error(path, f"{name} takes no on_error: a store in trouble always answers 503", "leave it out")
    elif value == "drop" and kind is not None and kind.fail_closed:
        draft.error(path, f"{name} may only reject: dropping would hide a refusal from its sender", "write reject")
    elif value == "drop":
        return "drop"
    return "reject"
