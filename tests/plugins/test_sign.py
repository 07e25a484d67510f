import base64
import json

import pytest
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from eventstream import UNSET, ConfigError, Event, Key, Keys, Reject, canonical_event, decode_stored, encode, parse_key
from eventstream.testing.step_runner import installed
from eventstream_plugins.encrypt import open_envelope

SEED, NEWER = bytes(range(32)), bytes(range(1, 33))
NOW = 1_800_000_000.0


def server(kid="server-1", seed=SEED, **fields):
    return Key(kid, "server", "ed25519", public=bytes(SigningKey(seed).verify_key), private=seed, **fields)


@pytest.fixture
def services(run_steps):
    run_steps.services.clock = lambda: NOW
    run_steps.services.keys = Keys([server()])
    return run_steps.services


@pytest.fixture
def sign(run_steps, services):
    return lambda events: run_steps([{"sign": {"key": "server"}}], events)


def event(**fields):
    return Event(**{"id": "1", "source": "/s", "type": "t", "data": {"b": 1.50, "a": ["grün", None]}, **fields})


def verify(signed, seed=SEED):
    public = VerifyKey(bytes(SigningKey(seed).verify_key))
    public.verify(canonical_event(signed), base64.b64decode(signed.extensions["signature"]))


@pytest.mark.parametrize(
    "given",
    [
        event(),
        event(data=UNSET),
        event(data=b"\x00\xff", datacontenttype="image/png"),
        event(data={"big": "x" * 300_000}),
        event(data=[1e300, -0.0, 5e-324, True], subject="ü\u2028", extensions={"n": 1}),
        event(extensions={"signature": "a producer's", "signaturekey": "shop"}),
    ],
)
def test_whoever_gets_the_event_can_verify_it(sign, given):
    signed = sign(given)
    assert signed.extensions["signaturekey"] == "server-1"
    received = decode_stored(encode(signed))
    verify(received)
    assert received.data == given.data
    for changed in ({"id": "2"}, {"data": 1}, {"subject": "other"}, {"time": "2026-01-01T00:00:00Z"}):
        with pytest.raises(BadSignatureError):
            verify(received.replace(**changed))


def test_the_signed_form_is_canonical_json_without_the_signature(sign):
    fields = json.loads(encode(sign(event())))
    signature = base64.b64decode(fields.pop("signature"))
    assert fields.pop("signaturekey") == "server-1"
    text = '{"data":{"a":["grün",null],"b":1.5},"id":"1","source":"/s","specversion":"1.0","type":"t"}'
    assert fields == json.loads(text)
    SigningKey(SEED).verify_key.verify(text.encode(), signature)


def test_the_newest_active_key_signs(sign, services):
    services.keys = Keys(
        [
            server("later", NEWER, not_before=NOW + 1),
            server("token", NEWER, purpose="token"),
            Key("public", "server", "ed25519", public=bytes(32)),
            Key("other", "server", "secret", private=bytes(32)),
            server("new", NEWER, purpose="sign"),
            server("old", state="retiring"),
        ]
    )
    assert sign(event()).extensions["signaturekey"] == "new"
    verify(sign(event()), NEWER)


@pytest.mark.parametrize("key", [server(state="retiring"), server(state="revoked"), server(expires=NOW)])
def test_without_an_active_key_events_are_refused(run_steps, services, key):
    step = run_steps.build({"sign": {"key": "server"}})
    services.keys = Keys([key])
    for outcome in step.process_batch([event(), event()], run_steps.context):
        assert (outcome.status, outcome.reason) == (503, "no_key")
        assert outcome.headers["Retry-After"]


def test_a_number_that_readers_hold_differently_is_refused(sign):
    with pytest.raises(Reject) as caught:
        sign(event(data=2**53))
    assert (caught.value.status, caught.value.reason) == (422, "canonical")
    outcomes = sign([event(data=2**53), event()])
    assert isinstance(outcomes[0], Reject)
    verify(outcomes[1])


def test_verify_takes_what_sign_made(run_steps, services):
    given = event(time="2027-01-15T08:00:00Z")
    steps = [{"sign": {"key": "server"}}, {"verify": {"scheme": "ed25519", "keys": ["server"]}}]
    assert run_steps(steps, given).extensions["signaturekey"] == "server-1"
    assert (run_steps.context.key, run_steps.context.kid) == ("server", "server-1")


def test_a_sealed_event_is_signed_outside_and_keeps_its_producers_signature_inside(run_steps, services):
    services.keys = Keys([server(), Key("archive", "archive", "secret", private=bytes(32))])
    given = event(extensions={"signature": "a producer's", "signaturekey": "shop"})
    signed = run_steps([{"encrypt": {"to": ["archive"]}}, {"sign": {"key": "server"}}], given)
    verify(signed)
    assert open_envelope(signed, "archive", bytes(32)) == given


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ([parse_key("server", "server", "ed25519", base64.b64encode(SEED).decode())], "public half only"),
        ([Key("server", "server", "secret", private=SEED)], "kind secret"),
        ([], "no key server"),
    ],
)
def test_a_key_that_cannot_sign_stops_the_start(run_steps, services, keys, words):
    services.keys = Keys(keys)
    with pytest.raises(ConfigError) as caught:
        run_steps.build({"sign": {"key": "server"}})
    (problem,) = caught.value.problems
    assert words in problem.message
    assert problem.pointer == "/key"


def test_signing_much_leaves_the_loop(sign, services):
    calls = []
    plain = services.offload
    services.offload = lambda call: (calls.append(1), plain(call))[1]
    sign(event(data="x" * 300_000))
    assert calls == [1]


def test_bad_options_are_refused():
    for options in ({}, {"key": ["server"]}, {"keys": ["server"]}):
        with pytest.raises(ValueError):  # noqa: PT011  # msgspec's error, whose words are its own
            installed().get("step", "sign").component.create(options)
