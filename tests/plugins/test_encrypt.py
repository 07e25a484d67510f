import base64
import json

import nacl.bindings
import pytest
from nacl.public import PrivateKey, SealedBox
from nacl.secret import SecretBox

from eventstream import UNSET, ConfigError, Event, Key, encode
from eventstream.testing.step_runner import installed
from eventstream_plugins.encrypt import EnvelopeError, open_envelope

PRIVATE = PrivateKey(bytes(range(32)))
OTHER = PrivateKey(bytes(range(1, 33)))
SHARED = bytes(range(64, 96))


def text_of(raw):
    return base64.b64encode(raw).decode()


@pytest.fixture
def seal(run_steps):
    """Run events through encrypt."""
    run_steps.services.keys = {
        "warehouse": Key("warehouse", "curve25519", [text_of(bytes(PRIVATE.public_key))]),
        "audit": Key("audit", "curve25519", [base64.urlsafe_b64encode(bytes(OTHER.public_key)).decode()]),
        "archive": Key("archive", "secret", [text_of(SHARED), "older"]),
    }

    def seal(events, **options):
        return run_steps([{"encrypt": options or {"to": ["warehouse"]}}], events)

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
        event(extensions={"n": 1}),
    ],
)
def test_what_was_sealed_opens_again_and_only_the_data_is_hidden(seal, given):
    sealed = seal(given)
    assert sealed.data["eventstream-envelope"] == 0
    assert sealed.datacontenttype == "application/vnd.eventstream-envelope+json"
    assert sealed.dataschema is None
    assert (sealed.id, sealed.subject, sealed.extensions) == (given.id, given.subject, given.extensions)
    assert open_envelope(sealed, "warehouse", bytes(PRIVATE)) == given
    assert b"gr\\u00fcn" not in encode(sealed)


def test_each_recipient_opens_it_alone(seal):
    sealed = seal(event(), to=["warehouse", "audit"], key="archive")
    for kid, key in (("warehouse", bytes(PRIVATE)), ("audit", bytes(OTHER)), ("archive", SHARED)):
        assert open_envelope(sealed, kid, key) == event()
    for kid, key in (("warehouse", bytes(OTHER)), ("archive", bytes(32)), ("nobody", SHARED), ("audit", b"short")):
        with pytest.raises(EnvelopeError):
            open_envelope(sealed, kid, key)


def test_the_documented_format_opens_with_libsodium_alone(seal):
    sealed = seal(event(datacontenttype="application/json"), to=["warehouse"], key="archive")
    envelope = json.loads(encode(sealed))["data"]
    assert envelope.keys() == {"eventstream-envelope", "alg", "nonce", "ciphertext", "recipients"}
    box, shared = envelope["recipients"]
    content_key = SealedBox(PRIVATE).decrypt(base64.b64decode(box["key"]))
    assert SecretBox(SHARED).decrypt(base64.b64decode(shared["key"])) == content_key
    wrapped = [[one["kid"], one["alg"], one["key"]] for one in envelope["recipients"]]
    bound = ["eventstream-envelope", 0, "xchacha20poly1305", "1", "/s", "t", wrapped]
    plaintext = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
        base64.b64decode(envelope["ciphertext"]),
        json.dumps(bound, separators=(",", ":"), ensure_ascii=False).encode(),
        base64.b64decode(envelope["nonce"]),
        content_key,
    )
    assert json.loads(plaintext) == {"data": {"a": [1, "grün", None]}, "datacontenttype": "application/json"}


@pytest.mark.parametrize("changed", [{"id": "2"}, {"source": "/t"}, {"type": "u"}, {"id": "1/", "source": "s"}])
def test_it_is_bound_to_id_source_and_type(seal, changed):
    with pytest.raises(EnvelopeError):
        open_envelope(seal(event()).replace(**changed), "warehouse", bytes(PRIVATE))


def test_any_altered_character_of_the_envelope_is_noticed(seal):
    sealed = seal(event(data=1), to=["warehouse"], key="archive")
    text = json.dumps(sealed.data)
    checked = 0
    for place, char in enumerate(text):
        try:
            data = json.loads(text[:place] + chr(ord(char) ^ 1) + text[place + 1 :])
        except ValueError:
            continue
        if data == sealed.data:
            continue
        checked += 1
        with pytest.raises(EnvelopeError):
            open_envelope(sealed.replace(data=data), "warehouse", bytes(PRIVATE))
    assert checked > 300


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(more=1),
        lambda data: data.pop("alg"),
        lambda data: data.update({"eventstream-envelope": False}),
        lambda data: data.update({"eventstream-envelope": 1}),
        lambda data: data.update(nonce="AAAA"),
        lambda data: data.update(ciphertext=""),
        lambda data: data.update(nonce=5),
        lambda data: data.update(recipients=[]),
        lambda data: data.update(recipients=["x"]),
        lambda data: data["recipients"].append({"kid": "x", "alg": "sealed-box", "key": "AAAA"}),
        lambda data: data["recipients"][0].update(alg="none"),
        lambda data: data["recipients"][0].update(key=""),
    ],
)
def test_a_malformed_envelope_is_one_error(seal, change):
    sealed = seal(event())
    data = json.loads(json.dumps(sealed.data))
    change(data)
    with pytest.raises(EnvelopeError):
        open_envelope(sealed.replace(data=data), "warehouse", bytes(PRIVATE))


@pytest.mark.parametrize("data", [None, 1, "x", [], {}, b"x", UNSET])
def test_what_is_no_envelope_says_so(data):
    with pytest.raises(EnvelopeError):
        open_envelope(event(data=data), "warehouse", bytes(PRIVATE))


def test_every_envelope_is_new(seal):
    batch = seal([event(), event(id="2"), event()])
    assert len({one.data["nonce"] for one in batch}) == 3
    assert len({one.data["ciphertext"] for one in batch}) == 3
    again = seal([event()])
    assert batch[0].data["recipients"] != again[0].data["recipients"]


def test_a_cipher_over_much_data_leaves_the_loop(seal, run_steps):
    calls = []
    plain = run_steps.services.offload
    run_steps.services.offload = lambda call: (calls.append(1), plain(call))[1]
    seal(event(data="x" * 1000))
    assert calls == []
    seal(event(data="x" * 300_000))
    assert calls == [1]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (Key("box", "curve25519", [text_of(bytes(31))]), "31 bytes"),
        (Key("box", "curve25519", ["?" * 43]), "not base64"),
        (Key("box", "curve25519", [text_of(bytes(32))]), "no usable"),
        (Key("box", "secret", [text_of(SHARED)]), "kind secret"),
        (Key("other", "curve25519", [text_of(SHARED)]), "no key box"),
    ],
)
def test_bad_keys_stop_the_start_and_stay_secret(run_steps, key, words):
    run_steps.services.keys = {key.name: key}
    with pytest.raises(ConfigError) as caught:
        run_steps.build({"encrypt": {"to": ["box"]}})
    (problem,) = caught.value.problems
    assert words in problem.message
    assert problem.pointer == "/to/0"
    assert key.texts[0] not in str(problem)


@pytest.mark.parametrize("options", [{}, {"to": []}, {"to": ["a", "a"]}, {"to": ["a"], "key": "a"}, {"to": "a"}])
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError):  # noqa: PT011  # msgspec's error, whose words are its own
        installed().get("step", "encrypt").component.create(options)
