from eventstream_redact import Redact

from eventstream.testing.step_contract import StepContract


def test_named_fields_are_removed(run_steps):
    event = run_steps([{"redact": {"fields": ["password"]}}], {"user": "ann", "password": "x"})
    assert event.data == {"user": "ann"}


class TestRedactIsAStep(StepContract):
    step = Redact
