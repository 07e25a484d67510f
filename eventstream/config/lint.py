"""Rules about order and reach: what types cannot say."""

from __future__ import annotations

from collections.abc import Sequence

from eventstream.components.output import Output
from eventstream.components.step import Step
from eventstream.components.store import Store
from eventstream.config.draft import Draft
from eventstream.config.loader import Path
from eventstream.config.model import PipelineSpec, Server, StepSpec
from eventstream.config.pipelines import PipelineDraft, StepDraft
from eventstream.events.cover import covers
from eventstream.events.filter import Filter


def lint_pipelines(draft: Draft, pipelines: Sequence[PipelineDraft]) -> list[PipelineSpec]:
    """Judge the order of steps and the reach of pipelines; return those that were built."""
    specs: list[PipelineSpec] = []
    for index, pipeline in enumerate(pipelines):
        _lint_marks(draft, pipeline)
        _lint_steps(draft, pipeline.steps)
        _lint_reach(draft, pipeline, pipelines[:index])
        steps = [
            StepSpec(f"pipelines.{pipeline.name}.steps[{one.path[-1]}].{one.name}", one.step, one.on_error)
            for one in pipeline.steps
            if one.step is not None
        ]
        specs.append(PipelineSpec(pipeline.name, pipeline.match or Filter(), steps))
    return specs


def _lint_marks(draft: Draft, pipeline: PipelineDraft) -> None:
    marked: dict[str, StepDraft] = {}
    for one in pipeline.steps:
        if one.kind is None:  # an unknown step may be a misspelt mark
            continue
        mark = one.kind.mark
        if mark is not None and mark in marked:
            draft.error(one.path, f"{one.name} stands twice in one pipeline", "leave one out")
        elif mark == "persist" and "fan_out" in marked:
            draft.error(one.path, f"{one.name} stands after fan_out", "put persist before fan_out")
        elif mark is None and marked:
            last = "fan_out" if "fan_out" in marked else "persist"
            first = "persist" if "persist" in marked else "fan_out"
            draft.error(one.path, f"{one.name} stands after {last}", f"put the step before {first}")
        if mark is not None:
            marked.setdefault(mark, one)
    if not marked and all(one.kind is not None for one in pipeline.steps) and pipeline.steps:
        ends = f"pipeline {pipeline.name} neither stores nor delivers its events"
        draft.warn(pipeline.path, ends, "end it with persist, fan_out or both")


def _lint_steps(draft: Draft, steps: Sequence[StepDraft]) -> None:
    for index, one in enumerate(steps):
        if one.name == "validate" and any(earlier.name == "encrypt" for earlier in steps[:index]):
            draft.error(one.path, "validate stands after encrypt, where it sees ciphertext", "put it before encrypt")
    before: list[Step] = []
    for one in steps:
        if one.step is None:  # whatever follows would be judged without what stands before it
            return
        last = next((earlier.name for earlier in before if earlier.last), None)
        if last is not None and one.step.mark is None:
            draft.warn(
                one.path, f"{one.name} stands behind {last}, which has to see the event last", f"put it before {last}"
            )
        advice = one.step.lint(before)
        if advice:
            draft.warn(one.path, advice if advice.startswith(one.name) else f"{one.name}: {advice}")
        before.append(one.step)


def _lint_reach(draft: Draft, pipeline: PipelineDraft, earlier: Sequence[PipelineDraft]) -> None:
    for other in earlier:
        if pipeline.match is not None and other.match is not None and covers([other.match], pipeline.match):
            line = draft.document.place(other.path).line
            draft.warn(
                pipeline.path,
                f"no event reaches pipeline {pipeline.name}: {other.name} (line {line}) takes them all",
                "the first pipeline that matches runs: put the narrower one first",
            )
            return


def lint_store(draft: Draft, store: Store, server: Server | None) -> None:
    """Refuse a store of one process for several workers, and a hash chain where the store offers none."""
    if store.chained and not store.can_chain:
        draft.error(
            ("store", "chain"),
            f"store {store.name} keeps no hash chain",
            "leave chain out, or use a store that offers it, such as sqlite",
            key=True,
        )
    if server is not None and server.workers > 1 and not store.shared:
        draft.error(
            ("store", store.name),
            f"store {store.name} lives in one process, and there are {server.workers} workers",
            "set server.workers to 1, or use a store that workers share",
            key=True,
        )


def lint_outputs(draft: Draft, outputs: Sequence[tuple[Path, Output]]) -> None:
    """Say when nobody can subscribe; refuse one output twice at one path."""
    if not outputs and draft.faults == 0:
        draft.warn(("outputs",), "without outputs nobody can subscribe", "for example outputs: [sse]", key=True)
    seen: set[tuple[str, object]] = set()
    for path, output in outputs:
        here = (output.name, getattr(output.config, "path", None))
        if here in seen:
            draft.error(
                path, f"output {output.name} stands twice at {here[1]}", "give each a path of its own", key=True
            )
        seen.add(here)
