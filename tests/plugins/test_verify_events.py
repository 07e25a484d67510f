"""`verify: {scheme: ed25519}`: a signature that travels inside the event."""

import base64
import dataclasses
import json

import pytest
from nacl.signing import SigningKey

from eventstream import ConfigError, Event, Form, Key, Keys, Reject, Request, decode_stored, encode, parse_key

KEY, OLD, OTHER = (SigningKey(bytes([n] * 32)) for n in (1, 2, 3))
EVENT = Event(
    id="1", source="/shop", type="shop.order.paid", time="2026-01-31T12:00:00Z",
    data={"total": 12.5, "größe": 1, "lines": [{"n": 1}]}, extensions={"partitionkey": "a"},
)  # fmt: skip
NOW = 1769860800


def canonical(event):
    """Return the canonical form as a producer would make it: without any code of ours."""
    fields = json.loads(encode(event))
    fields = {name: value for name, value in fields.items() if name not in ("signature", "signaturekey")}
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sign(event, key=KEY, kid="shop"):
    signature = base64.b64encode(key.sign(canonical(event)).signature).decode()
    return event.with_attribute("signature", signature).with_attribute("signaturekey", kid)


SIGNED = sign(EVENT)


@pytest.fixture
def send(run_steps):
    """Run events through verify, without any request."""
    keys = [("shop", "shop", KEY), ("shop-old", "shop", OLD), ("till", "till", OTHER)]
    run_steps.services.keys = Keys(
        parse_key(kid, owner, "ed25519", base64.b64encode(bytes(key.verify_key)).decode()) for kid, owner, key in keys
    )

    def send(event=SIGNED, *, now=NOW, context=None, **options):
        run_steps.services.clock = lambda: now
        step = {"scheme": "ed25519", "keys": ["shop", "till"], **options}
        return run_steps([{"verify": step}], event, **(context or {}))

    return send


def reason(send, event, **changed):
    with pytest.raises(Reject) as caught:
        send(event, **changed)
    assert (caught.value.status, caught.value.reason) == (401, "signature")
    return caught.value.private


def test_a_signed_event_passes_as_it_is(send, run_steps):
    assert send() == SIGNED
    assert (run_steps.context.key, run_steps.context.kid) == ("shop", "shop")
    assert send(sign(EVENT, OLD, "shop-old")) == sign(EVENT, OLD, "shop-old")
    assert (run_steps.context.key, run_steps.context.kid) == ("shop", "shop-old")
    assert send(sign(EVENT, OLD)) == sign(EVENT, OLD), "the owner's name stands for each of its keys"


def test_what_is_stored_can_be_verified_again(send):
    assert send(decode_stored(encode(SIGNED)))
    lines = sign(EVENT.replace(data={"text": "a\u2028b\u0085", "none": None, "big": 2**53 - 1}))
    assert send(decode_stored(encode(lines))) == lines


@pytest.mark.parametrize("form", list(Form))
def test_every_form_is_accepted(send, form):
    request = Request("POST", "/events", {}, b"")
    assert send(context={"request": request, "form": form}) == SIGNED


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"signature": None}, "is missing"),
        ({"signaturekey": None}, "is missing"),
        ({"signature": None, "signaturekey": None}, "it is not signed"),
        ({"signature": 5}, "is missing or no text"),
        ({"signaturekey": True}, "is missing or no text"),
        ({"signature": ""}, "not 64 bytes"),
        ({"signature": "AAAA"}, "not 64 bytes"),
        ({"signature": "\u00e9"}, "not 64 bytes"),
        ({"signature": SIGNED.get("signature") + "\n"}, "not 64 bytes"),
        ({"signature": SIGNED.get("signature").rstrip("=")}, "not 64 bytes"),
        ({"signature": "A" * 100_000}, "not 64 bytes"),
        ({"signature": base64.b64encode(bytes(64)).decode()}, "does not match"),
        ({"signaturekey": "till"}, "does not match"),
        ({"signaturekey": "shop-old"}, "does not match"),
        ({"signaturekey": "nobody"}, "names no key"),
        ({"signaturekey": ""}, "names no key"),
        ({"id": "2"}, "does not match"),
        ({"source": "/other"}, "does not match"),
        ({"type": "shop.order.refunded"}, "does not match"),
        ({"subject": "x"}, "does not match"),
        ({"time": "2026-01-31T12:00:01Z"}, "does not match"),
        ({"time": "2026-01-31T12:00:00+00:00"}, "does not match"),
        ({"partitionkey": None}, "does not match"),
        ({"partitionkey": "b"}, "does not match"),
        ({"another": 1}, "does not match"),
        ({"datacontenttype": "application/json"}, "does not match"),
        ({"time": None}, "has no time"),
    ],
)
def test_any_altered_attribute_is_refused(send, changes, words):
    event = SIGNED
    for name, value in changes.items():
        event = event.with_attribute(name, value)
    assert words in reason(send, event)


@pytest.mark.parametrize("data", [None, {"total": 12.5}, {"total": 12, "größe": 1, "lines": [{"n": 1}]}, b"x", "x"])
def test_any_altered_data_is_refused(send, data):
    assert "does not match" in reason(send, SIGNED.replace(data=data))


def test_a_number_too_large_for_every_reader_is_refused(send):
    assert "canonical" in reason(send, SIGNED.replace(data=2**60))


@pytest.mark.parametrize(("late", "good"), [(-301, False), (-300, True), (300, True), (301, False)])
def test_the_tolerance_bounds_the_events_time(send, late, good):
    if good:
        assert send(now=NOW + late)
    else:
        assert "out of tolerance" in reason(send, SIGNED, now=NOW + late)
    assert send(now=NOW + late, tolerance="1h")


@pytest.mark.parametrize("time", ["2026-01-31T13:00:00+01:00", "2026-01-31t12:00:00.123456789z"])
def test_times_of_every_spelling(send, time):
    assert send(sign(EVENT.replace(time=time)))


def test_a_leap_second_is_no_time_to_compare(send):
    assert "no time" in reason(send, sign(EVENT.replace(time="2026-01-31T12:00:60Z")))


def test_a_batch_has_one_signer(send, run_steps):
    mine, older = SIGNED, sign(EVENT.replace(id="2"), OLD, "shop-old")
    theirs, unsigned = sign(EVENT.replace(id="3"), OTHER, "till"), EVENT.replace(id="4", type="other")
    options = {"require": {"type": ["shop.*"]}}
    assert send([mine, older], **options) == [mine, older]
    assert run_steps.context.key == "shop"
    assert send([unsigned, unsigned], **options) == [unsigned, unsigned]
    assert run_steps.context.key is None
    assert send(unsigned, **options) == unsigned
    for batch, passed, key in (
        ([mine, theirs, older], [True, False, True], "shop"),
        ([mine, unsigned], [True, False], "shop"),
        ([unsigned, mine], [True, False], None),
    ):
        assert [isinstance(one, Event) for one in send(batch, **options)] == passed
        assert run_steps.context.key == key


def test_each_event_of_a_batch_is_judged(send):
    bad = SIGNED.with_attribute("subject", "x")
    outcomes = send([bad, SIGNED, bad])
    assert [isinstance(one, Reject) for one in outcomes] == [True, False, True]


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "curve25519"},
        {"kind": "hmac", "private": bytes(KEY.verify_key)},
        {"purpose": "seal"},
        {"state": "revoked"},
        {"expires": NOW},
        {"not_before": NOW + 1},
    ],
)
def test_only_keys_that_are_good_for_it_count(send, run_steps, changes):
    good = Key("shop", "shop", "ed25519", public=bytes(KEY.verify_key), purpose="verify", state="retiring")
    other = Key("shop-2", "shop", "ed25519", public=bytes(OLD.verify_key))
    run_steps.services.keys = Keys([good, other])
    assert send(keys=["shop"]) == SIGNED
    run_steps.services.keys = Keys([dataclasses.replace(good, **changes), other])
    assert reason(send, SIGNED, keys=["shop"])


def test_a_key_for_something_else_is_reported(run_steps):
    run_steps.services.keys = Keys([Key("shop", "shop", "ed25519", purpose="sign"), Key("box", "box", "curve25519")])
    with pytest.raises(ConfigError) as caught:
        run_steps.build({"verify": {"scheme": "ed25519", "keys": ["shop", "box", "none"]}})
    assert [problem.pointer for problem in caught.value.problems] == ["/keys/0", "/keys/1", "/keys/2"]
    assert caught.value.problems[0].message == "key shop is for sign"
