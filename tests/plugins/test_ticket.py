import json
import math
import re

import pytest

from eventstream import Filter, Grant, Identity, Reject, Request
from eventstream.config.model import Auth, Granted
from eventstream.runtime.access import Access
from eventstream.runtime.revocations import Revocations
from eventstream.testing.services import PlainServices
from eventstream_plugins.memory import MemoryLedger
from eventstream_plugins.ticket.authenticator import TicketAuthenticator
from eventstream_plugins.ticket.route import TicketsRoute

NOW = 1_800_000_000
SHOP = Filter({"type": ["shop.*"]})
ANN = Identity("ann", "jwt", ("name:ann", "token:1"), NOW + 600)
TEXT = re.compile(r"[A-Za-z0-9_-]{43}")


class Room(PlainServices):
    """A node's services with a real ledger, real grants, and a clock to set."""

    def __init__(self, folder):
        super().__init__(folder, clock=lambda: self.time)
        self.time = NOW
        self.ledger = MemoryLedger(self, clock=lambda: self.time)
        auth = Auth((), (Granted(("ann",), (Grant("subscribe", SHOP), Grant("publish", SHOP), Grant("admin"))),))
        self.access = Access(auth, Revocations(self.ledger, self.now), self.now, lambda *_: None)
        self.admit = self.access.admit


@pytest.fixture
def room(tmp_path):
    return Room(tmp_path)


@pytest.fixture
def authenticator(room):
    authenticator = TicketAuthenticator.create()
    authenticator.open(room)
    return authenticator


@pytest.fixture
def build(room):
    def build(**options):
        route = TicketsRoute.create(options)
        route.open(room)
        return route

    return build


@pytest.fixture
def route(build):
    return build()


def post(route, body=None, identity=ANN, **headers):
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"content-type": "application/json", **headers}
    return route.handle(Request("POST", "/tickets", given, data, data, identity=identity))


def ticket(route, body=None, identity=ANN):
    answer = post(route, body, identity)
    assert answer.status == 201
    assert answer.headers["Cache-Control"] == "no-store"
    return json.loads(answer.body)["ticket"]


def cookie(route, identity=ANN, **headers):
    answer = post(route, {"cookie": True}, identity, **headers)
    assert set(json.loads(answer.body)) == {"expires"}
    return answer.headers["Set-Cookie"].partition(";")[0]


def use(authenticator, text, method="GET"):
    return authenticator.authenticate(Request(method, "/events", {}, query={"ticket": [text]}))


def ride(authenticator, text, method="GET", **headers):
    return authenticator.authenticate(Request(method, "/events", {"cookie": text, **headers}))


def refusal_of(call, *arguments, **options):
    with pytest.raises(Reject) as caught:
        call(*arguments, **options)
    refusal = caught.value
    assert (refusal.status, refusal.reason, refusal.detail) == (401, "credential", "the credential is not valid")
    return refusal.private


def rights(identity):
    return {(grant.right, grant.scope.key) for grant in identity.grants}


EVERYTHING = Filter().key

# -- tickets ---------------------------------------------------------------------------------------


def test_a_ticket_stands_for_its_owner(route, authenticator):
    text = ticket(route)
    assert TEXT.fullmatch(text)
    identity = use(authenticator, text)
    assert (identity.name, identity.by, identity.expires) == ("ann", "ticket", NOW + 600)
    assert identity.credentials[:2] == ("name:ann", "token:1")
    assert re.fullmatch(r"ticket:[0-9a-f]{64}", identity.credentials[2])
    assert text not in repr(identity)
    assert rights(identity) == {("publish", EVERYTHING), ("subscribe", EVERYTHING)}, "and never admin"


def test_a_ticket_is_used_once(route, authenticator, room):
    text = ticket(route)
    assert use(authenticator, text, "HEAD").name == "ann"
    assert refusal_of(use, authenticator, text) == "the ticket was used before"
    other = TicketAuthenticator.create()  # another worker on the same ledger
    other.open(room)
    room.time += 29.9
    assert refusal_of(use, other, text) == "the ticket was used before"


@pytest.mark.parametrize("options", [{}, {"valid": "10s"}])
def test_a_ticket_waits_a_while_and_no_longer(build, authenticator, room, options):
    route = build(**options)
    seconds = 10 if options else 30
    early, late = ticket(route), ticket(route)
    room.time += seconds - 0.1
    assert use(authenticator, early).name == "ann"
    room.time += 0.1
    assert refusal_of(use, authenticator, late) == "the ticket is unknown or too old"
    room.time -= 3600  # a clock that jumps back brings no used ticket back
    assert refusal_of(use, authenticator, early) == "the ticket was used before"


def test_a_ticket_waits_no_longer_than_its_owner(route, authenticator, room):
    text = ticket(route, identity=Identity("ann", "jwt", (), NOW + 5))
    room.time += 5
    assert refusal_of(use, authenticator, text) == "the ticket is unknown or too old"


def test_for_ever_stays_for_ever(route, authenticator):
    assert use(authenticator, ticket(route, identity=Identity("ann", "api-key"))).expires == math.inf


@pytest.mark.parametrize("text", ["", "x", "A" * 42, "A" * 43, "A" * 44, "A" * 42 + "\n", "A" * 42 + "=", "é" * 43])
def test_tickets_nobody_gave(authenticator, text):
    assert refusal_of(use, authenticator, text) == "the ticket is unknown or too old"


def test_any_altered_character_is_refused(build, authenticator):
    text = ticket(build())
    for place, character in enumerate(text):
        other = "B" if character == "A" else "A"
        refusal_of(use, authenticator, f"{text[:place]}{other}{text[place + 1 :]}")
    assert use(authenticator, text)


def test_a_ticket_opens_nothing_but_streams(route, authenticator):
    text = ticket(route)
    for method in ("POST", "DELETE", "PUT", "OPTIONS"):
        assert refusal_of(use, authenticator, text, method) == "a ticket opens streams, by GET"
    request = Request("GET", "/events", {}, query={"ticket": [text, text]})
    assert refusal_of(authenticator.authenticate, request) == "two tickets in one request"
    assert use(authenticator, text), "it was not used up by that"


def test_a_ticket_is_no_session_and_no_session_a_ticket(route, authenticator):
    text, session = ticket(route), cookie(route)
    assert refusal_of(ride, authenticator, f"eventstream-session={text}") == "the session is unknown or over"
    assert refusal_of(use, authenticator, session.partition("=")[2]) == "the ticket is unknown or too old"


def test_the_ledger_holds_no_ticket(route, room):
    told = []
    room.ledger.watch(lambda key, value: told.append(f"{key} {value}"))
    texts = [ticket(route), cookie(route).partition("=")[2]]
    assert len(told) == 2
    assert not any(text in line for text in texts for line in told)


# -- what a ticket is for --------------------------------------------------------------------------


def test_narrowed_tickets(route, authenticator):
    wish = {"subscribe": ["shop.order.*", {"type": "shop.x", "source": "/till/1"}]}
    assert rights(use(authenticator, ticket(route, wish))) == {
        ("subscribe", Filter({"type": ["shop.order.*"]}).key),
        ("subscribe", Filter({"type": ["shop.x"], "source": ["/till/1"]}).key),
    }


@pytest.mark.parametrize(
    "wish", [True, ["*"], ["bank.*"], ["shop.order.*", "bank.x"], [{"source": "/till/1"}], ["sho*"]]
)
def test_a_ticket_is_never_wider_than_its_owner(route, wish):
    with pytest.raises(Reject) as caught:
        post(route, {"subscribe": wish})
    assert caught.value.status == 403


def test_a_credentials_own_grants_bound_its_tickets(route, authenticator):
    narrow = Identity("ann", "jwt", (), NOW + 600, (Grant("subscribe", Filter({"type": ["shop.a"]})), Grant("crypto")))
    assert rights(use(authenticator, ticket(route, identity=narrow))) == {
        ("subscribe", Filter({"type": ["shop.a"]}).key)
    }
    with pytest.raises(Reject) as caught:
        post(route, {"subscribe": ["shop.b"]}, narrow)
    assert caught.value.status == 403


def test_grants_that_do_not_fit_are_refused(route):
    wide = tuple(Grant("subscribe", Filter({"type": [f"shop.{'x' * 60}.{n}"]})) for n in range(100))
    with pytest.raises(Reject) as caught:
        post(route, None, Identity("ann", "jwt", (), NOW + 600, wide))
    assert caught.value.status == 422
    assert "narrow it" in caught.value.faults[0].detail


def test_nobody_gets_no_ticket(route):
    with pytest.raises(Reject) as caught:
        post(route, identity=None)
    assert (caught.value.status, caught.value.headers) == (401, {"WWW-Authenticate": "Bearer"})


def test_a_ticket_gets_no_ticket(route, authenticator):
    identity = use(authenticator, ticket(route))
    for body in (None, {"cookie": True}):
        with pytest.raises(Reject) as caught:
            post(route, body, identity)
        assert caught.value.status == 403


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (b"{", 400, None),
        (b'{"cookie": true, "cookie": false}', 400, None),
        (b"[" * 20, 400, None),
        (b"\xff", 400, None),
        (b" " * 20_000, 413, None),
        ([], 422, ""),
        ("x", 422, ""),
        (None, 201, None),
        ({}, 201, None),
        ({"cookie": 1}, 422, "/cookie"),
        ({"cookie": None}, 422, "/cookie"),
        ({"tickets": 1}, 422, "/tickets"),
        ({"subscribe": None}, 422, "/subscribe"),
        ({"subscribe": False}, 422, "/subscribe"),
        ({"subscribe": []}, 422, "/subscribe"),
        ({"subscribe": "shop.*"}, 422, "/subscribe"),
        ({"subscribe": [""]}, 422, "/subscribe"),
        ({"subscribe": [{}]}, 422, "/subscribe"),
        ({"subscribe": [{"data": "x"}]}, 422, "/subscribe"),
        ({"subscribe": [{"type": []}]}, 422, "/subscribe"),
        ({"subscribe": [{"type": 1}]}, 422, "/subscribe"),
        ({"subscribe": ["shop.x"] * 101}, 422, "/subscribe"),
        ({"subscribe": [{"type": ["shop.x", *(f"shop.{n}" for n in range(101))]}]}, 422, "/subscribe"),
    ],
)
def test_bodies(route, body, status, pointer):
    if status == 201:
        assert post(route, body).status == 201
        return
    with pytest.raises(Reject) as caught:
        post(route, body)
    assert caught.value.status == status
    assert [fault.pointer for fault in caught.value.faults] == ([pointer] if pointer is not None else [])


def test_only_json_bodies(route):
    for type in ("text/plain", "", "application/x-www-form-urlencoded"):
        with pytest.raises(Reject) as caught:
            post(route, {}, **{"content-type": type})
        assert caught.value.status == 415
    assert post(route, {}, **{"content-type": "Application/JSON; charset=utf-8"}).status == 201
    assert post(route, None, **{"content-type": "text/plain"}).status == 201


def test_the_rate_is_per_identity(build, room):
    route = build(rate="1/s")
    for _ in range(100):
        ticket(route)
    with pytest.raises(Reject) as caught:
        post(route)
    assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "1"})
    assert ticket(route, identity=Identity("bob", "jwt"))
    room.time += 1
    assert ticket(route)


# -- sessions --------------------------------------------------------------------------------------


def test_a_cookie_lets_its_owner_read(route, authenticator, room):
    answer = post(route, {"cookie": True})
    text, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert attributes == ["Path=/", "Max-Age=600", "HttpOnly", "SameSite=Strict", "Secure"]
    assert json.loads(answer.body) == {"expires": "2027-01-15T08:10:00Z"}
    for _ in range(3):  # an EventSource that comes back
        identity = ride(authenticator, f"a=b; {text}; c=d")
        assert (identity.name, identity.by, identity.expires) == ("ann", "ticket", NOW + 600)
        assert rights(identity) == {("subscribe", EVERYTHING)}
    room.time += 600
    assert refusal_of(ride, authenticator, text) == "the session is unknown or over"


def test_a_session_ends_before_its_owner(build, authenticator, room):
    route = build(session="60s", secure=False)
    answer = post(route, {"cookie": True})
    text, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert attributes == ["Path=/", "Max-Age=60", "HttpOnly", "SameSite=Strict"]
    assert ride(authenticator, text).expires == NOW + 60
    room.time += 60
    refusal_of(ride, authenticator, text)


def test_a_cookie_counts_for_reading_only(route, authenticator):
    text = cookie(route)
    assert ride(authenticator, text, "HEAD").name == "ann"
    for method in ("POST", "DELETE", "PUT"):
        assert ride(authenticator, text, method) is None


def test_a_header_beats_the_cookie(route, authenticator):
    assert ride(authenticator, cookie(route), authorization="Bearer x") is None


def test_other_cookies_are_nobodys(authenticator):
    for text in (
        "",
        "a=b",
        "eventstream=x",
        "xeventstream-session=y",
        "EVENTSTREAM-SESSION=x",
        "; ;",
        "a=eventstream-session",
    ):
        assert ride(authenticator, text) is None


def test_broken_sessions(route, authenticator):
    good = cookie(route)
    for text in (
        "eventstream-session=",
        "eventstream-session",
        f'eventstream-session="{good[20:]}"',
        f"{good}x",
        good[:-1],
    ):
        assert refusal_of(ride, authenticator, text) == "the session is unknown or over"
    for separator in ("; ", ","):
        assert refusal_of(ride, authenticator, f"{good}{separator}{good}") == "two sessions in one request"


def end(route, text):
    answer = route.handle(Request("DELETE", "/tickets", {"cookie": text}))
    assert answer.status == 204
    assert answer.headers["Set-Cookie"].startswith("eventstream-session=; Path=/; Max-Age=0;")


def is_revoked(room, identity):
    return Revocations(room.ledger, room.now).revoked(identity)


def test_logging_out_revokes_the_session(route, authenticator, room):
    text = cookie(route)
    identity = ride(authenticator, text)
    assert identity.credentials[-1].startswith("session:")
    assert not is_revoked(room, identity)
    end(route, text)
    assert is_revoked(room, identity)
    assert not is_revoked(room, ANN)


def test_what_logging_out_leaves_in_the_ledger_lasts_no_longer_than_a_session(build, authenticator, room):
    route = build(session="60s")
    text = cookie(route, Identity("ann", "jwt"))
    family = ride(authenticator, text).credentials[-1]
    end(route, text)
    room.time += 59
    assert room.ledger.get(f"revoked/{family}") is not None
    room.time += 2
    assert room.ledger.get(f"revoked/{family}") is None  # many of them would fill it, and then nobody can be revoked


def test_logging_out_ends_what_was_renewed(route, authenticator, room):
    first = cookie(route)
    opened = ride(authenticator, first)
    second = cookie(route, cookie=first)
    assert second != first
    end(route, second)
    assert is_revoked(room, opened)
    assert is_revoked(room, ride(authenticator, second))
    third = cookie(route, cookie=second)  # logged in anew, the old cookie still there
    assert not is_revoked(room, ride(authenticator, third))


def test_anothers_session_is_not_renewed(route, authenticator, room):
    bobs = cookie(route, Identity("bob", "jwt"))
    anns = cookie(route, cookie=bobs)
    end(route, anns)
    assert not is_revoked(room, ride(authenticator, bobs))


def test_logging_out_without_a_session(route):
    for text in ("", "a=b", "eventstream-session=x", f"eventstream-session={'A' * 43}"):
        end(route, text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"valid": "6m"}, "valid: a ticket"),
        ({"valid": 0}, "valid: a ticket"),
        ({"session": "2d"}, "session: a cookie"),
        ({"rate": 0}, "greater than 0"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        TicketsRoute.create(options)
