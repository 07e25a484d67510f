"""The pytest plugin that comes with Event-Stream. It imports the server only when a fixture is used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from eventstream.testing.step_runner import StepRunner

# So that a failing promise shows its values.
pytest.register_assert_rewrite(
    "eventstream.testing.authenticator_contract",
    "eventstream.testing.keyring_contract",
    "eventstream.testing.ledger_contract",
    "eventstream.testing.step_contract",
    "eventstream.testing.store_contract",
)


@pytest.fixture
def run_steps(tmp_path: Path) -> Iterator[StepRunner]:
    """Run events through steps: `run_steps([{"redact": {"fields": ["a"]}}], {"a": 1, "b": 2})`.

    Steps are written as in `pipelines.yaml`. Returns the resulting event, or raises the Reject or Drop;
    a list of events gives a list of outcomes. See `eventstream.testing.step_runner.StepRunner`.
    """
    # pytest loads this module before coverage starts, so the server is imported here.
    from eventstream.testing.step_runner import StepRunner, plain_node  # noqa: PLC0415  # see above

    runner = StepRunner(plain_node(tmp_path))
    yield runner
    runner.close()
