"""Pipelines and publishing: order, refusals, batches, repeats, and what happens when something fails."""

import msgspec
import pluggy
import pytest
from runtime.hub_room import World

from eventstream import Drop, Form, Reject, Step, StepError, StoreBusy, Submission, from_mapping
from eventstream.components.output import Sent, Stored
from eventstream.components.store import Keep
from eventstream.config.model import PipelineSpec, StepSpec
from eventstream.events.filter import EVERYTHING, Filter
from eventstream.hooks import specs
from eventstream.hooks.specs import hookimpl
from eventstream.runtime.pipeline import Pipeline
from eventstream.runtime.publish import EPHEMERAL_BYTES, Publisher, unpack
from eventstream.runtime.published import UNPUBLISHED
from eventstream.telemetry.metrics import Metrics
from eventstream_plugins.fan_out import FanOut
from eventstream_plugins.memory import Memory
from eventstream_plugins.persist import Persist


class Judge(Step):
    """Does with an event what its subject says."""

    name = "judge"

    def __init__(self, config=None):
        super().__init__(config)
        self.seen = []
        self.returned = 0

    def process_batch(self, events, context):
        context.undo.append(self.give_back)
        if events[0].subject == "none-at-all":
            return []
        return super().process_batch(events, context)

    def give_back(self):
        self.returned += 1

    def process(self, event, context):
        self.seen.append(event.id)
        context.headers["Judged"] = str(len(self.seen))
        match event.subject:
            case "reject":
                raise Reject("no", reason="judged")
            case "drop":
                raise Drop("unwanted")
            case "broken":
                raise OSError("/secret")
            case "nothing":
                return None
            case "busy":
                raise StoreBusy("the ledger is away")
        return event.replace(subject=f"judged {event.subject}")


class Signed(Judge):
    name = "signed"
    needs_request = True


class House:
    """A publisher over a real memory store; pipelines by the first letter of the event's type."""

    def __init__(self):
        self.world = World()
        self.store = Memory.create()
        self.store.keep(Keep())
        self.store.open(self.world)
        self.metrics = Metrics()
        self.heard = []
        self.store.watch(lambda head: None, lambda payload: self.heard.append(unpack(payload)))
        self.manager = pluggy.PluginManager(specs.PROJECT)
        self.manager.add_hookspecs(specs)
        self.judges = {name: Judge() for name in ("d", "h", "e", "n", "q")} | {"s": Signed()}
        ends = {"d": [Persist, FanOut], "h": [Persist], "e": [FanOut], "n": [], "q": [Persist], "s": [Persist]}
        self.publisher = Publisher(
            [Pipeline(self.spec(name, end), self.metrics) for name, end in ends.items()],
            self.store, self.manager, self.metrics, queue=2,
        )  # fmt: skip

    def spec(self, name, end):
        steps = [self.judges[name], *(step() for step in end)]
        places = [
            StepSpec(f"pipelines.{name}.steps[{i}].{step.name}", step, "drop" if name == "q" and i == 0 else "reject")
            for i, step in enumerate(steps)
        ]
        return PipelineSpec(name, Filter({"type": [f"{name}*"]}), places)

    def publish(self, *events, atomic=True):
        items = [
            event if isinstance(event, Reject)
            else from_mapping({"specversion": "1.0", "id": event[0], "source": "/s", "type": event[1],
                               **({"subject": event[2]} if len(event) > 2 else {}),
                               **({"data": event[3]} if len(event) > 3 else {})})
            for event in events
        ]  # fmt: skip
        self.published = self.publisher.publish(Submission(items, Form.BATCH, atomic=atomic))
        return self.published.results

    def stored(self):
        return [record.subject for record in self.store.read(0, 100, hidden=True).records]


@pytest.fixture
def house():
    house = House()
    yield house
    house.store.close()


def kind(result):
    if result is UNPUBLISHED:
        return "unpublished"
    return result.status if isinstance(result, Reject) else type(result).__name__


def kinds(results):
    return [kind(result) for result in results]


def test_a_mixed_batch_is_committed_together_in_its_own_order(house):
    commits = []
    append = house.store.append
    house.store.append = lambda entries, **options: commits.append(len(entries)) or append(entries, **options)
    results = house.publish(("1", "d", "a"), ("2", "h", "b"), ("3", "e", "c"), ("4", "d", "d"), ("5", "n", "e"))
    assert kinds(results) == ["Stored", "Stored", "Sent", "Stored", "Sent"]
    assert commits == [3]
    assert house.stored() == ["judged a", "judged b", "judged d"]
    assert [record.deliver for record in house.store.read(0, 9, hidden=True).records] == [True, False, True]
    assert [record.subject for record in house.heard] == ["judged c"]
    assert [result.durable for result in results if isinstance(result, Stored)] == ["memory"] * 3
    assert house.published.headers == {"Judged": "1"}


def test_an_atomic_batch_stops_at_the_first_refusal_and_gives_back(house):
    results = house.publish(("1", "d"), ("2", "d", "reject"), ("3", "e", "c"), ("4", "h"))
    assert kinds(results) == ["unpublished", 422, "unpublished", "unpublished"]
    assert results[1].step == "pipelines.d.steps[0].judge"
    assert house.judges["h"].seen == house.judges["e"].seen == []  # pipelines behind the refusal never ran
    assert house.judges["d"].returned == 1
    assert house.stored() == house.heard == []
    assert [position for position, _ in house.published.refused] == [1]


def test_a_partial_batch_stores_the_rest(house):
    results = house.publish(("1", "d"), ("2", "d", "reject"), ("3", "e"), ("4", "z"), ("5", "h"), atomic=False)
    assert kinds(results) == ["Stored", 422, "Sent", 422, "Stored"]
    assert results[3].reason == "no_pipeline"
    assert len(house.stored()) == 2
    assert house.judges["d"].returned == 0


def test_what_could_not_be_decoded_refuses_an_atomic_batch(house):
    malformed = Reject("no event", status=400, reason="malformed")
    assert kinds(house.publish(("1", "d"), malformed)) == ["unpublished", 400]
    assert kinds(house.publish(("1", "d"), malformed, atomic=False)) == ["Stored", 400]


def test_nothing_is_promised_beside_a_conflict(house):
    house.publish(("1", "d", "first"))
    results = house.publish(
        ("2", "e", "c"), ("1", "d", "other"), ("3", "n", "x"), ("4", "d", "drop"), ("1", "d", "first")
    )
    assert kinds(results) == ["unpublished", 409, "unpublished", "unpublished", "Stored"]
    assert results[4].duplicate  # which is true whatever became of the others
    assert house.heard == []
    assert house.stored() == ["judged first"]
    assert house.judges["d"].returned == house.judges["e"].returned == 1


def test_a_repeat_answers_with_the_first_receipt(house):
    (first,) = house.publish(("1", "d", "a"))
    (again,) = house.publish(("1", "d", "a"))
    assert again == msgspec.structs.replace(first, duplicate=True)
    assert len(house.stored()) == 1
    results = house.publish(("1", "d", "other"), ("2", "d"), atomic=False)
    assert kinds(results) == [409, "Stored"]
    assert "'1'" in results[0].detail


def test_a_dropped_event_is_taken_and_counted(house):
    assert house.publish(("1", "d", "drop")) == [Sent("1", "/s")]
    assert house.stored() == []
    assert b'eventstream_events_dropped_total{reason="unwanted"} 1.0' in house.metrics.render()


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        ("nothing", "returned NoneType, not an event"),
        ("none-at-all", "returned 0 outcomes for 1 events"),
        ("broken", "failed with OSError"),
    ],
)
def test_a_step_that_fails_is_named_and_nothing_is_stored(house, subject, said):
    with pytest.raises(StepError, match=said) as raised:
        house.publish(("1", "d", subject), ("2", "e"))
    assert raised.value.step == "pipelines.d.steps[0].judge"
    assert "/secret" not in str(raised.value)
    assert house.stored() == house.heard == []
    assert house.judges["d"].returned == 1


def test_a_failure_is_counted_under_its_fingerprint(house):
    for _ in range(2):
        with pytest.raises(StepError):
            house.publish(("1", "d", "broken"))
    lines = [line for line in house.metrics.render().splitlines() if line.startswith(b"eventstream_errors_total{")]
    assert [line.rpartition(b" ")[2] for line in lines] == [b"2.0"]


def test_on_error_drop_ends_the_event_quietly(house):
    assert house.publish(("1", "q", "reject"), ("2", "q", "ok")) == [Sent("1", "/s"), house.published.results[1]]
    assert kinds(house.publish(("3", "q", "broken"))) == ["Sent"]
    assert house.stored() == ["judged ok"]


def test_a_store_that_is_away_is_passed_on(house):
    with pytest.raises(StoreBusy, match="ledger"):
        house.publish(("1", "d", "busy"))
    assert house.judges["d"].returned == 1


def test_a_step_that_needs_a_request_refuses_what_came_without(house):
    assert kinds(house.publish(("1", "s"))) == [401]
    assert house.judges["s"].seen == []


def test_observers_see_each_pipeline_s_share(house):
    calls = []

    class Observer:
        @hookimpl(wrapper=True)
        def eventstream_process(self, pipeline, events, context):
            outcomes = yield
            calls.append((pipeline, [event.id for event in events], len(outcomes)))
            return outcomes

    house.manager.register(Observer())
    house.publish(("1", "d"), ("2", "h"), ("3", "d"))
    assert calls == [("d", ["1", "3"], 2), ("h", ["2"], 1)]


def test_a_large_passing_event_is_refused_before_anything_is_announced(house):
    large = "x" * EPHEMERAL_BYTES
    results = house.publish(("1", "e", "a"), ("2", "e", "b", large), ("3", "d"))
    assert kinds(results) == ["unpublished", 413, "unpublished"]
    assert house.heard == house.stored() == []
    assert kinds(house.publish(("1", "e"), ("2", "e", "b", large), ("3", "d"), atomic=False)) == ["Sent", 413, "Stored"]
    assert len(house.heard) == 1


def test_only_so_many_requests_wait_for_their_commit(house):
    append = house.store.append
    depth = []

    def slow(entries, *, atomic):
        depth.append(len(depth))
        if len(depth) < 3:
            house.publish((f"inner-{len(depth)}", "d"))  # comes while this one is being committed
        return append(entries, atomic=atomic)

    house.store.append = slow
    with pytest.raises(StoreBusy, match="2 requests wait"):
        house.publish(("1", "d"))
    assert depth == [0, 1]
    assert house.stored() == []
    house.store.append = append
    house.publish(("1", "d"))
    assert len(house.stored()) == 1


def test_a_store_that_cannot_take_it_leaves_nothing_announced(house):
    def full(entries, *, atomic):
        raise StoreBusy("the disk is full")

    house.store.append = full
    with pytest.raises(StoreBusy):
        house.publish(("1", "e"), ("2", "d"))
    assert house.heard == []
    assert house.judges["d"].returned == house.judges["e"].returned == 1


def test_everything_matches_a_pipeline_without_a_match(house):
    assert Pipeline(PipelineSpec("all", EVERYTHING, []), house.metrics).match.matches(from_mapping(
        {"type": "x"}, plain=True
    ).event)  # fmt: skip
