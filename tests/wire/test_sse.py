import pytest

from eventstream.wire import sse


@pytest.mark.parametrize("type", ["message", "open", "error", "cursor", "gap", "goodbye"])
def test_names_that_mean_something_else_to_a_client_are_not_given_to_events(type):
    assert sse.event_name(type) == ""


def test_other_types_are_names():
    assert sse.event_name("shop.order") == "shop.order"
