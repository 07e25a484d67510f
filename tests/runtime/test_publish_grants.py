"""Publishing by grants: judged as received, by the request's identity or by whoever signed."""

import pluggy
import pytest
from runtime.hub_room import World

from eventstream import Event, Filter, Form, Grant, Identity, Incoming, Reject, Step, Submission
from eventstream.components.output import Sent, Stored
from eventstream.components.store import Keep
from eventstream.config.model import Auth, Granted, PipelineSpec, StepSpec
from eventstream.hooks import specs
from eventstream.runtime.access import Access
from eventstream.runtime.account import note_published
from eventstream.runtime.pipeline import Pipeline
from eventstream.runtime.publish import Publisher, under_identity
from eventstream.runtime.published import UNPUBLISHED
from eventstream.runtime.revocations import Revocations, revoke
from eventstream.telemetry.audit import Audit
from eventstream.telemetry.metrics import Metrics
from eventstream_plugins.fan_out import FanOut
from eventstream_plugins.memory import Memory
from eventstream_plugins.persist import Persist


class Seen(Step):
    """Notes what it is given, and can be undone."""

    name = "seen"

    def __init__(self, config=None):
        super().__init__(config)
        self.taken = []

    def process_batch(self, events, context):
        ids = [event.id for event in events]
        self.taken += ids
        context.undo.append(lambda: [self.taken.remove(one) for one in ids])
        return super().process_batch(events, context)

    def process(self, event, context):
        if event.subject == "refused":
            raise Reject("no", reason="judged")
        return event.replace(type="anything")  # what a step makes of an event is not judged


class Signed(Seen):
    """Takes the first event's subject for whoever signed the request."""

    name = "signed"
    identifies = True

    def process_batch(self, events, context):
        signer = events[0].subject
        if signer == "forged":
            raise Reject("not valid", 401, "signature")
        if signer is not None:
            context.key, context.kid = signer, f"{signer}-1"
        return super().process_batch(events, context)


GRANTS = (
    Granted(("shop",), (Grant("publish", Filter({"type": ["s*", "p.shop"]})),)),
    Granted(("anonymous",), (Grant("publish", Filter({"type": ["p.open"]})),)),
)


class House:
    """A publisher of two pipelines: `p.…` plain, `s.…` signed; `e.…` is not stored."""

    def __init__(self):
        self.world = World()
        self.store = Memory.create()
        self.store.keep(Keep())
        self.store.open(self.world)
        self.ledger = self.store.open_ledger()
        self.heard = []
        self.store.watch(lambda head: None, self.heard.append)
        revocations = Revocations(self.ledger, self.world.now)
        revocations.watch(lambda credential: None)
        access = Access(Auth((), GRANTS), revocations, self.world.now, lambda *told: None)
        manager = pluggy.PluginManager(specs.PROJECT)
        manager.add_hookspecs(specs)
        self.seen, self.signed = Seen(), Signed()
        ends = {"p": [self.seen, Persist()], "s": [self.signed, Persist()], "e": [Signed(), FanOut()]}
        pipelines = [
            PipelineSpec(name, Filter({"type": [f"{name}.*"]}), [StepSpec(f"{name}.{one.name}", one) for one in steps])
            for name, steps in ends.items()
        ]
        metrics = Metrics()
        built = [Pipeline(spec, metrics) for spec in pipelines]
        self.publisher = Publisher(built, self.store, manager, metrics, queue=2, access=access)

    def publish(self, *events, by=None, atomic=True):
        items = [
            Incoming(Event(id=str(number), source="/s", type=type, subject=subject), bytes([number]))
            for number, (type, subject) in enumerate(events)
        ]
        self.submission = Submission(items, Form.BATCH, client="192.0.2.1", atomic=atomic, identity=by)
        self.published = self.publisher.publish(self.submission)
        return [kind(result) for result in self.published.results]


def kind(result):
    if result is UNPUBLISHED:
        return "unpublished"
    return result.status if isinstance(result, Reject) else type(result).__name__


SHOP = Identity("shop", "test", ("token:1",))
OTHER = Identity("other", "test")


@pytest.fixture
def house():
    house = House()
    yield house
    house.store.close()


@pytest.mark.parametrize(
    ("type", "subject", "by", "result"),
    [
        ("p.shop", None, SHOP, "Stored"),
        ("p.shop", None, OTHER, 403),
        ("p.shop", None, None, 403),
        ("p.open", None, None, "Stored"),
        ("p.open", None, OTHER, "Stored"),
        ("p.shop", "shop", None, 403),  # nobody signs here: a subject is no signature
        ("s.x", "shop", None, "Stored"),
        ("s.x", "other", None, 403),
        ("s.x", None, None, 403),
        ("s.x", None, SHOP, "Stored"),
        ("s.x", "other", SHOP, "Stored"),  # either of them may
        ("s.x", "shop", OTHER, "Stored"),
        ("s.x", "forged", None, 401),
        ("s.x", "forged", SHOP, 401),
        ("z", None, None, 403),  # not even told that there is no pipeline
        ("sz", None, SHOP, 422),
        ("e.x", "shop", None, 403),
    ],
)
def test_who_may(house, type, subject, by, result):
    assert house.publish((type, subject), by=by) == [result]
    stored = len(house.store.read(0, 10, hidden=True).records)
    assert stored == (result == "Stored")
    assert house.heard == []


def test_what_is_refused_before_never_runs(house):
    house.publish(("p.shop", None), by=OTHER)
    assert house.seen.taken == []


def test_an_atomic_batch_is_refused_as_a_whole(house):
    assert house.publish(("p.open", None), ("p.shop", None), by=OTHER) == ["unpublished", 403]
    assert house.publish(("p.open", None), ("s.x", "other"), by=None) == ["unpublished", 403]
    assert house.seen.taken == house.signed.taken == []
    assert house.store.read(0, 10, hidden=True).records == []


def test_a_partial_batch_stores_the_rest(house):
    results = house.publish(("p.open", None), ("p.shop", None), ("s.x", "other"), by=None, atomic=False)
    assert results == ["Stored", 403, 403]
    assert house.signed.taken == []  # undone: nothing of a refused event takes effect
    assert house.seen.taken == ["0"]


def test_a_step_s_own_refusal_is_told_rather(house):
    assert house.publish(("s.x", "refused"), by=None) == [422]


def test_a_revoked_name_or_key_publishes_no_more_by_signature(house):
    assert house.publish(("s.x", "shop")) == ["Stored"]
    revoke(house.ledger, "key:shop-1", 60)
    assert house.publish(("s.y", "shop")) == [401]
    house.world.clock += 61
    assert house.publish(("s.y", "shop")) == ["Stored"]
    revoke(house.ledger, "name:shop", 60)
    assert house.publish(("s.z", "shop")) == [401]
    assert house.publish(("p.shop", None), by=SHOP) == [401]


def test_a_signature_by_who_is_revoked_spoils_what_the_caller_may(house):
    revoke(house.ledger, "key:other-1", 60)
    assert house.publish(("s.x", "other"), by=SHOP) == [401]
    assert house.publish(("s.x", "other"), ("p.open", None), by=SHOP, atomic=False) == [401, "Stored"]
    assert house.signed.taken == []


def test_an_event_without_a_source_gets_its_sender_s():
    given = Event(id="1", source="/given", type="t")
    items = [Incoming(given.replace(source="/anonymous"), b""), Incoming(given, b""), Reject("no")]
    found = under_identity(Submission(items, Form.BATCH), Identity("spiffe://a/b c", "test"))
    assert found.items[0].event.source == "/identities/spiffe%3A%2F%2Fa%2Fb%20c"
    assert found.items[1:] == items[1:]


class Lines(list):
    """A logger that keeps its lines."""

    def info(self, event, **facts):
        self.append((event, facts))


def test_the_audit_log_is_told_once_for_each_request(house):
    lines = Lines()
    audit = Audit(lines, 100)
    house.publish(("s.x", "shop"), ("s.y", None), ("p.open", None), ("p.shop", None), by=None, atomic=False)
    note_published(audit, house.submission, house.published)
    refused, published = lines
    assert refused[0] == "refused"
    assert refused[1] == {
        "identity": None, "status": 403, "reason": "grant", "client": "192.0.2.1", "events": 1,
        "detail": "somebody unknown may not publish events of type p.shop and source /s; granted: type p.open",
    }  # fmt: skip
    assert published == ("published", {
        "identity": None, "client": "192.0.2.1", "pipelines": ["s", "p"], "key": ["shop"], "kid": ["shop-1"],
        "events": 4, "id": "0", "source": "/s", "results": {"stored": 3, "refused": 1},
    })  # fmt: skip


def test_what_is_merely_malformed_is_no_line():
    lines = Lines()
    house = House()
    house.publish(("p.open", "refused"))
    note_published(Audit(lines, 100), house.submission, house.published)
    house.store.close()
    assert lines == []


def test_kinds_of_results_stand_apart(house):
    results = [Sent("1", "/s"), Stored("2", "/s", "c", "os", duplicate=True), UNPUBLISHED]
    lines = Lines()
    house.publish(("p.open", None))
    house.published.results = results
    note_published(Audit(lines, 100), house.submission, house.published)
    assert lines[0][1]["results"] == {"sent": 1, "repeated": 1, "unpublished": 1}
