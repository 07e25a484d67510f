"""Every error this server raises on purpose; anything else is a bug and shows a traceback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal


class EventStreamError(Exception):
    """Base of every deliberate error."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in a configuration: where it stands, what it is, what would be right."""

    message: str
    pointer: str = ""  # JSON pointer into the YAML document: /pipelines/0/steps/1
    hint: str = ""
    file: str = ""
    line: int = 0  # 1-based; 0 when the place is not in a file
    column: int = 0
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """Render as `file:line:column: severity: message (hint)`."""
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: " if self.file else ""
        hint = f" ({self.hint})" if self.hint else ""
        at = f" [{self.pointer}]" if self.pointer else ""
        return f"{place}{self.severity}: {self.message}{hint}{at}"


class ConfigError(EventStreamError):
    """The configuration cannot run; `problems` holds every fault that was found."""

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        """Take all problems, or one message for a fault without a place."""
        self.problems = [Problem(problems)] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Fault:
    """One part of a refused request: a JSON pointer and what is wrong there (RFC 9457 `errors`)."""

    detail: str
    pointer: str = ""
    step: str = ""


@dataclass(eq=False)
class Reject(EventStreamError):
    """An event (or request) is refused, and the sender is told why.

    `detail` goes to the sender; `private` only to the log. `reason` is a short word from a bounded
    vocabulary, used as a metric label. `status` is the HTTP status a sender should act on.
    """

    detail: str
    status: int = 422
    reason: str = "refused"
    faults: Sequence[Fault] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    type: str = "about:blank"
    members: Mapping[str, object] = field(default_factory=dict)  # further problem members
    private: str = ""
    step: str = ""  # place of the step that refused; filled in by the pipeline

    def __str__(self) -> str:
        """Return the sender's text."""
        return self.detail


@dataclass(eq=False)
class Drop(EventStreamError):
    """A step ends an event quietly; it is counted under `reason`."""

    reason: str = "dropped"
    step: str = ""


class StepError(EventStreamError):
    """A step failed in a way its author did not foresee: a 500 that names the step's place."""

    def __init__(self, step: str, message: str) -> None:
        """Name the step by its place, e.g. `pipelines.orders.steps[1].validate`."""
        super().__init__(f"{step}: {message}")
        self.step = step


class StoreBusy(EventStreamError):
    """The store or ledger cannot take or give data now (locked, full, read-only, failing).

    Nothing was acknowledged. The sender is told 503 with `Retry-After: retry_after` seconds.
    """

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        """Say for the log what is wrong; the sender sees only that it may try again."""
        super().__init__(message)
        self.retry_after = retry_after


class CursorError(EventStreamError):
    """A cursor's text is not one of ours."""


class FilterError(EventStreamError):
    """A subscriber's filter cannot be understood; `pointer` says where."""

    def __init__(self, message: str, pointer: str = "") -> None:
        """Take what is wrong and a JSON pointer (or parameter name)."""
        super().__init__(message)
        self.pointer = pointer
