import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from nacl.signing import SigningKey
from standardwebhooks import Webhook

from eventstream import ConfigError, Event, Form, Key, Keys, Reject, Request, parse_key
from eventstream.testing.step_runner import installed

# The vectors of Standard Webhooks 1.0.0.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
ID, TIMESTAMP, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
V1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
V1A = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="


@pytest.fixture
def send(run_steps):
    """Run the vector's request through verify, with parts of it changed."""

    def send(
        *,
        keys=(SECRET, PUBLIC),
        body=BODY,
        form=Form.STRUCTURED,
        now=TIMESTAMP,
        headers=None,
        family="webhook",
        event=None,
        **changed,
    ):
        names = list(keys) if isinstance(keys, dict) else ["shop"]
        run_steps.services.keys = Keys(
            parse_key(f"{name}-{number}", name, "standard-webhooks", text)
            for name, texts in (keys.items() if isinstance(keys, dict) else [("shop", list(keys))])
            for number, text in enumerate(texts)
        )
        run_steps.services.clock = lambda: now
        given = {"id": ID, "timestamp": str(TIMESTAMP), "signature": V1, **changed}
        named = {f"{family}-{name}": value for name, value in given.items() if value is not None}
        request = Request("POST", "/events", named if headers is None else headers, body, body)
        steps = [{"verify": {"keys": names}}]
        return run_steps(steps, event or Event(id="e", source="/s", type="t"), request=request, form=form)

    return send


def refusal_of(send, **changed):
    with pytest.raises(Reject) as caught:
        send(**changed)
    refusal = caught.value
    assert (refusal.status, refusal.reason) == (401, "signature")
    assert refusal.detail == "the request's signature is missing or not valid"
    assert refusal.private
    return refusal


@pytest.mark.parametrize(
    "signature",
    [
        V1,
        V1A,
        f"{V1} {V1A}",
        f"v1 {V1}",
        f"zzz {V1}",
        f"v1,a,b {V1}",
        f"v1,!!! {V1}",
        f"v1a,AAAA {V1A}",
        f"v9,AAAA {V1}",
        f"  {V1}",
        f"v1,\xe9 {V1}",
        f"v1,{'A' * 43}= {V1}",
    ],
)
def test_one_good_signature_among_junk_will_do(send, signature):
    assert send(signature=signature).id == "e"


@pytest.mark.parametrize("family", ["webhook", "svix"])
def test_both_families_of_headers(send, family):
    assert send(family=family).id == "e"


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "v1",
        "v1,",
        V1[3:],
        "v1," + "A" * 43 + "=",
        V1.replace("v1,", "v1a,"),
        V1A.replace("v1a,", "v1,"),
        V1.replace("v1,", "V1,"),
        V1.replace("OE=", "OF="),  # decodes to the same bytes
        V1.rstrip("="),
        V1 + "=",
        V1 + "\n",
        V1.replace("+", "-").replace("/", "_"),
        f"{V1},{V1A}",  # the header sent twice
        " ".join(["v1,AAAA"] * 32 + [V1]),
        "v1," + "A" * 9000,
        "v1a," + "A" * 86 + "==",
        "v1a,\xe9",
        V1A.replace("BAg==", "BAh=="),  # decodes to the same bytes
    ],
)
def test_bad_signatures_are_refused(send, signature):
    refusal_of(send, signature=signature)


@pytest.mark.parametrize("name", ["signature", "id", "timestamp", "body"])
@pytest.mark.parametrize("good", [V1, V1A])
def test_any_altered_byte_is_refused(send, name, good):
    parts = {"signature": good, "id": ID, "timestamp": str(TIMESTAMP), "body": BODY.decode()}
    for place in range(len(parts[name])):
        text = parts[name]
        altered = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
        changed = {**parts, name: altered}
        refusal_of(send, **{**changed, "body": changed["body"].encode()})


@pytest.mark.parametrize("name", ["signature", "id", "timestamp"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_stripped_header_is_refused(send, name, value):
    refusal_of(send, **{name: value})


def test_families_are_never_mixed(send):
    headers = {"webhook-id": ID, "svix-timestamp": str(TIMESTAMP), "svix-signature": V1}
    refusal_of(send, headers=headers)


@pytest.mark.parametrize(("offset", "good"), [(-301, False), (-300, True), (300, True), (301, False)])
def test_the_tolerance_bounds_both_sides(send, offset, good):
    if good:
        assert send(now=TIMESTAMP + offset)
    else:
        refusal_of(send, now=TIMESTAMP + offset)


def sign(ident, timestamp, body, secret=SECRET):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{ident}.{timestamp}.".encode("latin-1") + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


@pytest.mark.parametrize(
    "timestamp",
    [
        "1614265330.7",
        "+1614265330",
        "01614265330",
        " 1614265330",
        "1614265330 ",
        "1_614_265_330",
        "1614265330,1614265330",
        "0x60379932",
        "-1",
        "9" * 13,
        "\xb2",
    ],
)
def test_a_timestamp_is_an_integer_even_when_signed(send, timestamp):
    refusal_of(send, timestamp=timestamp, signature=sign(ID, timestamp, BODY))


@pytest.mark.parametrize("ident", ["a.b", "a,b", "a b", "\xe9", "x" * 257, "tab\t"])
def test_an_id_is_plain_even_when_signed(send, ident):
    refusal_of(send, id=ident, signature=sign(ident, TIMESTAMP, BODY))


def test_a_dot_cannot_move_between_id_and_body(send):
    body = b"1614265330.rest"
    shifted = sign("a.1614265330", "1614265330", b"rest")
    assert sign("a", TIMESTAMP, body) == shifted
    refusal_of(send, id="a.1614265330", body=b"rest", signature=shifted)


@pytest.mark.parametrize("body", [b"\xff\xfe not utf-8", b"not json", b"", b"x" * 300_000])
def test_the_body_is_bytes(send, body):
    assert send(body=body, signature=sign(ID, TIMESTAMP, body)).id == "e"
    refusal_of(send, body=body + b" ", signature=sign(ID, TIMESTAMP, body))


def test_the_key_is_named_and_rotates(send, run_steps):
    old = "whsec_" + base64.b64encode(b"o" * 32).decode()
    send(keys={"till": [old], "shop": [old.replace("b", "c"), SECRET]})
    assert run_steps.context.key == "shop"
    send(keys={"till": [old], "shop": [SECRET]}, signature=sign(ID, TIMESTAMP, BODY, old))
    assert run_steps.context.key == "till"


def test_a_plain_event_takes_its_identity_from_what_is_signed(send):
    event = Event(id="random", source="/anonymous", type="t", time="2001-01-01T00:00:00Z", data=1)
    result = send(form=Form.PLAIN, event=event, keys={"shop/1 ä": [SECRET]})
    assert result == event.replace(id=ID, source="/keys/shop%2F1%20%C3%A4", time="2021-02-25T15:02:10Z")


def test_structured_events_keep_their_own(send):
    event = Event(id="mine", source="/mine", type="t")
    assert send(event=event) == event
    assert send(event=[event, event.replace(id="2")], form=Form.BATCH) == [event, event.replace(id="2")]


def test_a_bad_batch_is_refused_event_by_event(send):
    given = [Event(id=str(n), source="/s", type="t") for n in range(3)]
    outcomes = send(event=given, form=Form.BATCH, body=b"x")
    assert [one.status for one in outcomes] == [401] * 3
    assert len({id(one) for one in outcomes}) == 3


def test_binary_mode_is_refused_since_attributes_are_not_signed(send):
    with pytest.raises(Reject) as caught:
        send(form=Form.BINARY)
    assert caught.value.status == 400
    assert "not signed" in caught.value.detail


def test_a_signed_cloudevent_cannot_be_replayed_as_plain(send):
    body = json.dumps({"specversion": "1.0", "id": "1", "source": "/a", "type": "t"}).encode()
    signature = sign(ID, TIMESTAMP, body)
    assert send(body=body, signature=signature).id == "e"
    with pytest.raises(Reject) as caught:
        send(body=body, signature=signature, form=Form.PLAIN)
    assert caught.value.status == 400
    nested = json.dumps({"type": "t", "data": {"specversion": "1.0"}}).encode()
    assert send(body=nested, signature=sign(ID, TIMESTAMP, nested), form=Form.PLAIN).id == ID


def test_an_event_without_a_request_is_refused(run_steps):
    run_steps.services.keys = Keys([parse_key("shop", "shop", "standard-webhooks", SECRET)])
    with pytest.raises(Reject) as caught:
        run_steps([{"verify": {"keys": ["shop"]}}], {"a": 1})
    assert caught.value.status == 401


def test_the_reference_librarys_requests_pass(send):
    at = datetime.fromtimestamp(TIMESTAMP, UTC)
    body = '{"type": "grün", "data": "\u2028"}'
    signature = Webhook(SECRET).sign("msg_1", at, body)
    assert send(id="msg_1", signature=signature, body=body.encode(), form=Form.PLAIN).id == "msg_1"


def test_only_the_signature_of_this_key_counts(send):
    other = SigningKey(bytes(32))
    message = f"{ID}.{TIMESTAMP}.".encode() + BODY
    signature = "v1a," + base64.b64encode(other.sign(message).signature).decode()
    refusal_of(send, signature=signature)
    # A public key must never serve as an HMAC secret.
    public = base64.b64decode(PUBLIC.removeprefix("whpk_"))
    forged = "v1," + base64.b64encode(hmac.new(public, message, hashlib.sha256).digest()).decode()
    refusal_of(send, keys=[PUBLIC], signature=forged)


def test_public_checks_are_bounded(send):
    others = ["whpk_" + base64.b64encode(bytes(SigningKey(bytes([n] * 32)).verify_key)).decode() for n in range(8)]
    wrong = "v1a," + "A" * 86 + "=="
    refusal_of(send, keys=[*others, PUBLIC], signature=" ".join([wrong] * 7 + [V1A]))
    assert send(keys=[*others[:2], PUBLIC], signature=f"{wrong} {V1A}")


def test_unknown_keys_and_kinds_are_all_reported(run_steps):
    run_steps.services.keys = Keys([Key("box", "box", "curve25519")])
    with pytest.raises(ConfigError) as caught:
        run_steps.build({"verify": {"keys": ["none", "box"]}})
    assert [problem.pointer for problem in caught.value.problems] == ["/keys/0", "/keys/1"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"keys": []},
        {"keys": ["a", "a"]},
        {"keys": ["a"], "tolerance": "0s"},
        {"keys": ["a"], "scheme": "hmac"},
        {"keys": ["a"], "tolerance": "soon"},
    ],
)
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError):  # noqa: PT011  # msgspec's error, whose words are its own
        installed().get("step", "verify").component.create(options)
