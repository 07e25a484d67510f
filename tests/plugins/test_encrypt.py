import base64

import pytest
from nacl.public import PrivateKey

from eventstream import UNSET, ConfigError, Event, Key, Keys, Reject, encode, parse_key
from eventstream.testing.step_runner import installed
from eventstream_plugins.encrypt import open_envelope

PRIVATE = PrivateKey(bytes(range(32)))
OTHER = PrivateKey(bytes(range(1, 33)))
SHARED = bytes(range(64, 96))
NOW = 1_800_000_000.0


def reader(kid="warehouse", owner="warehouse", private=PRIVATE, **fields):
    return Key(kid, owner, "curve25519", public=bytes(private.public_key), **fields)


ARCHIVE = Key("archive", "archive", "secret", private=SHARED)


@pytest.fixture
def services(run_steps):
    run_steps.services.clock = lambda: NOW
    run_steps.services.keys = Keys([reader(), reader("audit", "audit", OTHER), ARCHIVE])
    return run_steps.services


@pytest.fixture
def seal(run_steps, services):
    """Run events through encrypt."""

    def seal(events, **options):
        return run_steps([{"encrypt": {"to": ["warehouse"]} | options}], events)

    return seal


def event(**fields):
    return Event(**{"id": "1", "source": "/s", "type": "t", "data": {"a": [1, "grün", None]}, **fields})


@pytest.mark.parametrize(
    "given",
    [
        event(),
        event(data=None),
        event(data=UNSET),
        event(data=b"\x00\xff", datacontenttype="image/png"),
        event(data="x", datacontenttype="text/plain", dataschema="https://example.com/s", subject="s"),
        event(data=[10**30, 0.1, -0.0, 1e300, True]),
        event(data={"big": "x" * 300_000}),
        event(extensions={"n": 1, "b": True, "text": 'é"\\\x7f'}),
        event(extensions={"signature": "c2ln", "signaturekey": "shop", "traceparent": "00-1"}),
    ],
)
def test_what_was_sealed_opens_again_and_only_the_data_is_hidden(seal, given):
    sealed = seal(given)
    assert sealed.data["eventstream-envelope"] == 1
    assert sealed.datacontenttype == "application/vnd.eventstream-envelope+json"
    assert sealed.dataschema is None
    assert (sealed.id, sealed.subject, sealed.time) == (given.id, given.subject, given.time)
    assert not {"signature", "signaturekey"} & sealed.extensions.keys()
    assert open_envelope(sealed, "warehouse", bytes(PRIVATE)) == given
    assert b"gr\\u00fcn" not in encode(sealed)


def test_each_recipient_opens_it_alone(seal):
    sealed = seal(event(), to=["warehouse", "audit", "archive"])
    for kid, key in (("warehouse", bytes(PRIVATE)), ("audit", bytes(OTHER)), ("archive", SHARED)):
        assert open_envelope(sealed, kid, key) == event()


def kids(sealed):
    return [one["kid"] for one in sealed.data["recipients"]]


def test_readers_are_all_keys_in_use_of_the_named_owners_and_ids(seal, services):
    services.keys = Keys(
        [
            reader("w-new", not_before=NOW + 1),
            reader("w-2"),
            reader("w-1", private=OTHER, purpose="seal"),
            reader("w-retiring", state="retiring"),
            reader("w-revoked", state="revoked"),
            reader("w-old", expires=NOW),
            reader("w-token", purpose="token"),
            Key("w-sign", "warehouse", "ed25519", public=bytes(32)),
            Key("w-secret", "warehouse", "secret", private=SHARED),
            Key("w-foreign", "warehouse", "secret"),
            reader("other", "other"),
        ]
    )
    assert kids(seal(event())) == ["w-2", "w-1", "w-secret"]
    assert kids(seal(event(), to=["warehouse", "w-1", "other"])) == ["w-2", "w-1", "w-secret", "other"]


def test_rotation_revocation_and_expiry_act_at_once(run_steps, services):
    step = run_steps.build({"encrypt": {"to": ["warehouse"]}})
    services.keys = Keys([reader("a", expires=NOW + 10)])
    assert kids(step.process(event(), run_steps.context)) == ["a"]
    services.keys = Keys([reader("b", private=OTHER), reader("a", expires=NOW + 10)])
    assert kids(step.process(event(), run_steps.context)) == ["b", "a"]
    services.clock = lambda: NOW + 10
    assert kids(step.process(event(), run_steps.context)) == ["b"]
    services.keys = Keys([reader("b", private=OTHER, state="revoked")])
    with pytest.raises(Reject) as caught:
        step.process(event(), run_steps.context)
    assert (caught.value.status, caught.value.reason) == (503, "no_key")
    assert caught.value.headers["Retry-After"]


def test_a_reader_without_a_key_beside_others_is_counted(seal, services):
    services.keys = Keys([reader(), reader("audit", "audit", state="revoked")])
    assert kids(seal(event(), to=["warehouse", "audit"])) == ["warehouse"]
    assert services.counts["encrypt_without_reader"] == 1


def test_readers_are_bounded(seal, services):
    services.keys = Keys([reader(f"w-{n}") for n in range(5)])
    assert len(kids(seal(event(), readers=5))) == 5
    with pytest.raises(Reject) as caught:
        seal(event(), readers=4)
    assert (caught.value.status, caught.value.reason) == (503, "no_key")
    assert "5" not in caught.value.detail


def test_every_envelope_has_its_nonce_and_content_keys_change(run_steps, services):
    step = run_steps.build({"encrypt": {"to": ["warehouse"]}})
    batch = step.process_batch([event(), event(id="2"), event()], run_steps.context)
    assert len({one.data["nonce"] for one in batch}) == 3
    assert len({one.data["ciphertext"] for one in batch}) == 3
    assert step.process(event(), run_steps.context).data["recipients"] == batch[0].data["recipients"]
    for clock in (NOW + 60, NOW - 5):  # a clock that was set back is no reason to use a key for long
        services.clock = lambda now=clock: now
        again = step.process(event(), run_steps.context)
        assert again.data["recipients"] != batch[0].data["recipients"]


def test_a_cipher_over_much_data_and_many_wrappings_leave_the_loop(seal, services):
    calls = []
    plain = services.offload
    services.offload = lambda call: (calls.append(1), plain(call))[1]
    seal(event(data="x" * 1000))
    assert calls == []
    seal(event(data="x" * 300_000))
    assert calls == [1]
    services.keys = Keys([reader(f"w-{n}") for n in range(20)])
    seal(event())
    assert calls == [1, 1]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (Key("box", "box", "curve25519", public=bytes(32)), "no usable"),
        (Key("box", "box", "curve25519", public=b"short"), "no usable"),
        (Key("box", "box", "ed25519", public=bytes(range(32))), "kind ed25519"),
        (Key("other", "other", "secret", private=SHARED), "no key box"),
    ],
)
def test_bad_keys_stop_the_start_and_stay_secret(run_steps, services, key, words):
    services.keys = Keys([key])
    with pytest.raises(ConfigError) as caught:
        run_steps.build({"encrypt": {"to": ["box"]}})
    (problem,) = caught.value.problems
    assert words in problem.message
    assert problem.pointer == "/to/0"


def test_a_key_that_came_later_and_is_no_point_refuses_events(run_steps, services):
    step = run_steps.build({"encrypt": {"to": ["warehouse"]}})
    services.keys = Keys([Key("w", "warehouse", "curve25519", public=bytes(32))])
    with pytest.raises(Reject) as caught:
        step.process(event(), run_steps.context)
    assert (caught.value.status, caught.value.reason) == (503, "no_key")


@pytest.mark.parametrize("options", [{}, {"to": []}, {"to": ["a", "a"]}, {"to": "a"}, {"to": ["a"], "readers": 0}])
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError):  # noqa: PT011  # msgspec's error, whose words are its own
        installed().get("step", "encrypt").component.create(options)


def test_keys_of_the_section_keys_serve_too(seal, services):
    text = base64.b64encode(bytes(PRIVATE.public_key)).decode()
    services.keys = Keys([parse_key("warehouse", "warehouse", "curve25519", text)])
    assert open_envelope(seal(event()), "warehouse", bytes(PRIVATE)) == event()
