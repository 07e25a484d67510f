"""Who asks, and whether they may: identities, grants, refusals, and revocations."""

import math

import pytest

from eventstream import EVERYTHING, Authenticator, Event, Filter, Grant, Identity, Reject, Request, StoreBusy
from eventstream.config.model import Auth, Granted
from eventstream.runtime.access import Access
from eventstream.runtime.revocations import ASK_AGAIN, Revocations, credential_of, revoke
from eventstream.testing.deadline import Clock
from eventstream.testing.services import PlainServices
from eventstream_plugins.memory import Memory


class Badge(Authenticator):
    """Knows whom a header names; a cookie does as well."""

    name = "badge"
    challenge = "Badge"

    def authenticate(self, request):
        name = request.headers.get("badge") or request.headers.get("cookie", "").removeprefix("badge=")
        if name == "forged":
            raise Reject("no", 401, "badge", private="the badge is forged")
        if name == "broken":
            raise Reject("slow down", 429, "quota")
        return Identity(name, "badge", (f"token:{name}",), **self.given) if name else None


class Silent(Authenticator):
    """Knows nobody, and cannot be asked for."""

    name = "silent"

    def authenticate(self, request):
        return None


def patterns(right, **given):
    return Grant(right, Filter({name: values.split() for name, values in given.items()}))


GRANTS = (
    Granted(("shop",), (patterns("publish", type="shop.*", source="/shop"), patterns("publish", type="till"))),
    Granted(("ops*", "shop"), (patterns("subscribe", type="shop.* till"), Grant("admin"))),
    Granted(("anonymous",), (patterns("subscribe", type="public.*"),)),
    Granted(("all",), (Grant("publish"), Grant("subscribe"))),
)


class Desk:
    """An access with a clock of its own, and everything it told."""

    def __init__(self, chain=(Badge,), grants=GRANTS):
        self.clock = Clock()
        self.store = Memory.create()
        services = PlainServices(clock=self.clock)
        self.store.open(services)
        self.ledger = Counting(self.store.open_ledger())
        self.revocations = Revocations(self.ledger, self.clock)
        self.ended = []
        self.revocations.watch(self.ended.append)
        self.told = []
        self.badge = {}
        Badge.given = self.badge
        auth = Auth(tuple(one() for one in chain), grants)
        self.access = Access(auth, self.revocations, self.clock, lambda *told: self.told.append(told))

    def identify(self, method="GET", **headers):
        return self.access.identify(Request(method, "/events", headers, client="192.0.2.1"))

    def revoke(self, credential, seconds=60):
        revoke(self.ledger, credential, seconds)


class Counting:
    """A ledger that counts what it is asked."""

    def __init__(self, ledger):
        self._ledger = ledger
        self.asked = []
        self.meanwhile = None

    def get(self, key):
        self.asked.append(key)
        found = self._ledger.get(key)
        if self.meanwhile is not None:
            todo, self.meanwhile = self.meanwhile, None
            todo()
        return found

    def __getattr__(self, name):
        return getattr(self._ledger, name)


@pytest.fixture
def desk():
    return Desk()


def refusal(call, *arguments):
    with pytest.raises(Reject) as caught:
        call(*arguments)
    return caught.value


def event(type="shop.order", source="/shop", **attributes):
    return Event(id="1", source=source, type=type, **attributes)


# -- who asks ---------------------------------------------------------------------------------------


def test_somebody_and_nobody(desk):
    assert desk.identify(badge="shop") == Identity("shop", "badge", ("token:shop",))
    assert desk.identify() is None
    assert desk.told == []


def test_a_bad_credential_is_one_text_and_the_log_knows_why(desk):
    error = refusal(lambda: desk.identify(badge="forged"))
    assert (error.status, error.detail, error.reason) == (401, "the credential is not accepted", "credential")
    assert error.headers == {"WWW-Authenticate": "Badge"}
    assert desk.told == [(error, None, "192.0.2.1")]
    assert error.private == "badge: the badge is forged"


@pytest.mark.parametrize("name", ["anonymous", "a" * 257, "a\nb", "a\x00"])
def test_names_that_nobody_may_have(desk, name):
    assert "name that cannot be used" in refusal(lambda: desk.identify(badge=name)).private


def test_a_kind_of_credential_that_nobody_takes_is_not_overlooked(desk):
    assert refusal(lambda: desk.identify(authorization="Basic eDp5")).status == 401
    assert desk.identify(authorization="Basic eDp5", badge="shop").name == "shop"


def test_other_refusals_of_an_authenticator_stay_what_they_are(desk):
    assert refusal(lambda: desk.identify(badge="broken")).status == 429


def test_an_identity_that_has_expired_is_not_one(desk):
    desk.badge["expires"] = desk.clock() + 5
    assert desk.identify(badge="shop") is not None
    desk.clock.advance(5)
    assert "has expired" in refusal(lambda: desk.identify(badge="shop")).private


def test_a_cookie_reads_and_does_nothing_else(desk):
    assert desk.identify("POST", cookie="badge=all") is None
    identity = desk.identify(cookie="badge=all")
    assert identity.name == "all"
    desk.access.admit(identity, EVERYTHING)
    assert desk.access.publisher(identity)(event()).status == 403  # a WebSocket is opened by a GET, and publishes
    assert desk.identify(cookie="badge=shop", badge="ops").name == "ops"
    assert refusal(desk.access.require, desk.identify(cookie="badge=shop"), "admin").status == 403


def test_what_browsers_send_on_their_own_tells_nothing_of_pages_of_other_origins(desk):
    def identify(**headers):
        return desk.access.identify(Request("GET", "/events", headers, foreign=True))

    assert identify(cookie="badge=all") is None
    assert identify(badge="shop").name == "shop"  # a page that knows a key may use it
    desk.access.chain[0].ambient = True
    assert identify(badge="shop") is None
    assert desk.identify(badge="shop").name == "shop"


def test_a_connection_is_not_kept_for_who_may_nothing(desk):
    for name in ("shop", "ops", "nobody-in-particular"):
        desk.access.enter(desk.identify(badge=name), "192.0.2.9")  # all may subscribe to public.*
    desk = Desk(grants=GRANTS[:1])
    desk.access.enter(desk.identify(badge="shop"), "192.0.2.9")
    assert refusal(desk.access.enter, desk.identify(badge="ops"), "192.0.2.9").status == 403
    assert refusal(desk.access.enter, None, "192.0.2.9").status == 401
    assert desk.told[-1][1:] == (None, "192.0.2.9")


# -- what they may ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "type", "source", "allowed"),
    [
        ("shop", "shop.order", "/shop", True),
        ("shop", "shop.order", "/other", False),
        ("shop", "till", "/other", True),
        ("shop", "tilly", "/shop", False),
        ("ops1", "shop.order", "/shop", False),
        ("all", "anything", "/any", True),
        ("shop2", "shop.order", "/shop", False),
        (None, "shop.order", "/shop", False),
    ],
)
def test_who_may_publish_what(desk, name, type, source, allowed):
    identity = desk.identify(badge=name) if name else None
    assert (desk.access.publisher(identity)(event(type, source)) is None) is allowed


def test_a_refusal_says_what_was_refused_and_what_is_granted(desk):
    error = desk.access.publisher(desk.identify(badge="shop"))(event("bank.order"))
    assert (error.status, error.reason) == (403, "grant")
    assert str(error) == (
        "shop may not publish events of type bank.order and source /shop; granted: source /shop, type shop.*; type till"
    )
    error = refusal(desk.access.admit, desk.identify(badge="ops7"), Filter({"type": ["shop.a", "bank.a"]}))
    assert str(error) == "ops7 may not subscribe to type bank.a or shop.a; granted: type shop.* or till; type public.*"
    error = refusal(desk.access.require, desk.identify(badge="all"), "admin", "192.0.2.9")
    assert str(error) == "all may not do this: it needs the right admin"
    assert desk.told[-1][2] == "192.0.2.9"


def test_who_is_not_known_is_asked_to_say_who_they_are(desk):
    error = desk.access.publisher(None)(event())
    assert (error.status, error.reason, error.headers) == (401, "unknown", {"WWW-Authenticate": "Badge"})
    assert refusal(desk.access.admit, None, EVERYTHING).status == 401
    assert refusal(desk.access.require, None, "admin").status == 401
    desk.access.admit(None, Filter({"type": ["public.a"]}))
    desk.access.admit(desk.identify(badge="ops1"), Filter({"type": ["public.a"]}))  # what all may, the known may too


def test_who_cannot_be_asked_is_told_403():
    desk = Desk(chain=(Silent,))
    error = refusal(desk.access.admit, None, EVERYTHING)
    assert (error.status, error.headers) == (403, {})
    assert str(error) == "somebody unknown may not subscribe to everything; granted: type public.*"


def test_long_attributes_are_not_repeated_in_full(desk):
    assert len(str(desk.access.publisher(None)(event("x" * 100_000)))) < 600
    assert len(str(refusal(desk.access.admit, None, Filter({"type": ["x" * 100_000]})))) < 600


def test_a_credential_narrows_and_never_widens(desk):
    desk.badge["grants"] = (patterns("publish", type="shop.a bank.a"), Grant("admin"))
    identity = desk.identify(badge="shop")
    judge = desk.access.publisher(identity)
    assert judge(event("shop.a")) is None
    assert judge(event("shop.b")).status == 403
    assert judge(event("bank.a")).status == 403
    assert refusal(desk.access.admit, identity, Filter({"type": ["shop.a"]})).status == 403
    desk.access.require(identity, "admin")
    desk.badge["grants"] = (Grant("crypto"),)
    assert refusal(desk.access.require, desk.identify(badge="shop"), "crypto").status == 403


def test_grants_of_many_names_stay_right(desk):
    for number in range(10_001):
        identity = Identity(f"ops{number}", "test")
        assert desk.access.grants(identity, "admin")
    assert not desk.access.grants(Identity("op", "test"), "admin")


# -- what no longer counts --------------------------------------------------------------------------


@pytest.mark.parametrize("credential", ["token:shop", "name:shop"])
def test_revoked_at_once_and_no_longer_than_said(desk, credential):
    identity = desk.identify(badge="shop")
    desk.revoke(credential, 60)
    assert desk.ended == [credential]
    assert desk.access.ended(identity) == "revoked"
    assert "is revoked" in refusal(lambda: desk.identify(badge="shop")).private
    assert desk.access.publisher(identity)(event()).status == 401  # a WebSocket that is not closed yet
    assert refusal(desk.access.admit, identity, Filter({"type": ["till"]})).status == 401
    assert refusal(desk.access.require, identity, "admin").status == 401
    desk.clock.advance(61)
    assert desk.identify(badge="shop") is not None
    assert desk.access.ended(identity) is None


def test_revoked_before_this_worker_began(desk):
    desk.revoke("token:shop")
    desk.revocations = Revocations(desk.ledger, desk.clock)
    assert desk.revocations.revoked(Identity("shop", "badge", ("token:shop",)))


def test_the_ledger_is_asked_once_for_each_credential(desk):
    for _ in range(3):
        desk.identify(badge="shop")
    assert desk.ledger.asked == ["revoked/token:shop", "revoked/name:shop"]
    desk.revoke("token:shop")
    for _ in range(3):
        refusal(lambda: desk.identify(badge="shop"))
    assert len(desk.ledger.asked) == 2
    desk.clock.advance(ASK_AGAIN)
    refusal(lambda: desk.identify(badge="shop"))
    assert desk.ledger.asked[2:] == ["revoked/token:shop"]


def test_a_revocation_while_the_ledger_answers_is_not_forgotten(desk):
    desk.ledger.meanwhile = lambda: desk.revoke("token:shop")
    desk.identify(badge="shop")  # it was asked for before
    assert desk.access.ended(Identity("shop", "badge", ("token:shop",))) == "revoked"
    refusal(lambda: desk.identify(badge="shop"))


def test_what_is_remembered_is_bounded(desk, monkeypatch):
    monkeypatch.setattr("eventstream.runtime.revocations.MAX_GOOD", 10)
    monkeypatch.setattr("eventstream.runtime.revocations.MAX_REVOKED", 10)
    for number in range(50):
        desk.identify(badge=f"n{number}")
        desk.revoke(f"token:r{number}")
    assert len(desk.revocations._good) == len(desk.revocations._revoked) == 10
    refusal(lambda: desk.identify(badge="r0"))  # forgotten here, not in the ledger


def test_a_ledger_that_cannot_answer_lets_nobody_in(desk):
    desk.ledger.close()
    with pytest.raises(StoreBusy):
        desk.identify(badge="shop")


def test_other_facts_are_no_revocations(desk):
    desk.ledger.put("ticket/1", b"", 60)
    assert desk.ended == []


@pytest.mark.parametrize(
    ("text", "credential"),
    [
        ("token:a", "token:a"), ("key:shop-1", "key:shop-1"), ("name:shop", "name:shop"), ("shop", "name:shop"),
        ("spiffe://a/b", "name:spiffe://a/b"), ("key", "name:key"),
    ],
)  # fmt: skip
def test_what_a_text_means(text, credential):
    assert credential_of(text) == credential


@pytest.mark.parametrize(("credential", "seconds"), [("", 1), ("a\nb", 1), ("a" * 513, 1), ("a", 0), ("a", math.inf)])
def test_what_cannot_be_revoked(desk, credential, seconds):
    with pytest.raises(ValueError, match=r"(a revocation lasts|a credential has)"):
        desk.revoke(credential, seconds)
