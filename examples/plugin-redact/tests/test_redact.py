from eventstream.testing.step_contract import StepContract
from eventstream_redact import Redact


def test_named_fields_are_removed(run_steps):
    event = run_steps([{"redact": {"fields": ["password"]}}], {"user": "ann", "password": "x"})
    assert event.data == {"user": "ann"}


class TestRedactIsAStep(StepContract):
    step = Redact
