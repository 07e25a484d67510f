"""A node with `auth`: what its outputs and requests see of it, where no socket is handed over."""

import json
import re

import pluggy
import pytest
from runtime.hub_room import World

from eventstream import EVERYTHING, Event, Filter, Form, Grant, Identity, Incoming, Reject, Submission
from eventstream.components.store import Keep
from eventstream.config.model import Auth, Granted, PipelineSpec, Server, Settings, StepSpec
from eventstream.hooks import specs
from eventstream.runtime.node import build_node
from eventstream.runtime.revocations import revoke
from eventstream.telemetry.metrics import Metrics
from eventstream_plugins.fan_out import FanOut
from eventstream_plugins.memory import Memory
from eventstream_plugins.persist import Persist
from eventstream_plugins.sse import PLAIN

SHOP = Filter({"type": ["shop.*"]})
AUTH = Auth((), (Granted(("shop",), (Grant("publish", SHOP), Grant("subscribe", SHOP))),))


@pytest.fixture
def make_node():
    nodes = []

    def make(auth=AUTH):
        store = Memory.create()
        store.keep(Keep())
        steps = [StepSpec(f"pipelines.all.steps[{i}].x", step()) for i, step in enumerate((Persist, FanOut))]
        settings = Settings(
            server=Server(), store=store, keep=Keep(), keys=(), keyring=None, outputs=[], routes=[], auth=auth,
            pipelines=[PipelineSpec("all", EVERYTHING, steps)], text="", digest="", file="pipelines.yaml", folder=".",
        )  # fmt: skip
        manager = pluggy.PluginManager(specs.PROJECT)
        manager.add_hookspecs(specs)
        nodes.append(build_node(settings, manager, World(), Metrics()))
        return nodes[-1]

    yield make
    for node in nodes:
        node.close()


def who(**given):
    return Identity("shop", "test", ("token:1",), **given)


def follow(node, identity, filter=SHOP):
    return node.follow(filter, PLAIN, node.start(None), heartbeat=0.05, identity=identity)


def reason(frames):
    return [json.loads(found) for found in re.findall(rb"event: goodbye\ndata: (.*)", b"".join(frames))]


def test_a_stream_without_hand_over_is_judged_before_it_begins(make_node):
    node = make_node()
    for identity, filter in ((None, SHOP), (who(), EVERYTHING)):
        with pytest.raises(Reject):
            follow(node, identity, filter)


@pytest.mark.parametrize("way", ["expired", "revoked"])
def test_a_stream_without_hand_over_ends_with_its_credential(make_node, way):
    node = make_node()
    stream = follow(node, who(expires=1010.0))
    assert next(stream).startswith(b"event: cursor")
    if way == "expired":
        node.platform.clock = 1010.0
    else:
        revoke(node.ledger, "token:1", 60)
    assert reason(stream) == [{"reason": way}]


def test_a_drain_ends_it_without_a_reason(make_node):
    node = make_node()
    stream = follow(node, who())
    next(stream)
    node.drain()
    rest = list(stream)
    assert reason(rest) == []
    assert rest[-1].startswith(b"retry: ")


def test_refusals_are_counted(make_node):
    node = make_node()
    with pytest.raises(Reject):
        node.admit(None, SHOP)
    items = [Incoming(Event(id="1", source="/anonymous", type="bank.x"), b"1")]
    (result,) = node.publish(Submission(items, Form.BATCH, identity=who()))
    assert result.status == 403
    assert "source /identities/shop" in str(result)
    text = node.metrics.render().decode()
    assert 'eventstream_refusals_total{reason="grant"} 2.0' in text


def test_without_the_section_everybody_may(make_node):
    node = make_node(None)
    node.admit(None, EVERYTHING)
    assert node.access is None
    stream = follow(node, None, EVERYTHING)
    (result,) = node.publish(Submission([Incoming(Event(id="1", source="/s", type="t"), b"1")], Form.BATCH))
    assert result.cursor.encode() in next(stream) + next(stream)
