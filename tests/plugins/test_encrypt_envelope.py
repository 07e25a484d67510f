"""The format: what `docs/reference/envelope.md` says, held against libsodium alone and against vectors."""

import base64
import json
from pathlib import Path

import msgspec
import nacl.bindings
import pytest
from nacl.public import PrivateKey, SealedBox

from eventstream import UNSET, Event, encode, from_mapping
from eventstream_plugins.encrypt import EnvelopeError, open_envelope
from eventstream_plugins.encrypt.envelope import ContentKey, Recipient, new_content_key, plaintext_of, seal

PRIVATE = PrivateKey(bytes(range(32)))
OTHER = PrivateKey(bytes(range(1, 33)))
SHARED = bytes(range(64, 96))
VECTORS = json.loads((Path(__file__).parents[2] / "docs" / "reference" / "envelope-vectors.json").read_text())
RECIPIENTS = [
    Recipient("warehouse", "sealed-box", bytes(PRIVATE.public_key)),
    Recipient("archive", "xchacha20poly1305", SHARED),
]


def event(**fields):
    return Event(**{"id": "1", "source": "/s", "type": "t", "data": {"a": [1, "grün", None]}, **fields})


def sealed_of(given, recipients=RECIPIENTS):
    return seal(given, plaintext_of(given), new_content_key(recipients))


def test_the_documented_format_opens_with_libsodium_alone():
    given = event(datacontenttype="application/json", extensions={"n": 7, "cursor": "x", "signature": "c2ln"})
    sealed = json.loads(encode(sealed_of(given)))
    envelope = sealed["data"]
    assert envelope.keys() == {"eventstream-envelope", "alg", "bound", "recipients", "nonce", "ciphertext"}
    assert envelope["bound"] == ["id", "source", "type", "time", "subject", "n"]
    box, shared = envelope["recipients"]
    content_key = SealedBox(PRIVATE).decrypt(base64.b64decode(box["key"]))
    wrapped = base64.b64decode(shared["key"])
    open_ = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt
    assert open_(wrapped[24:], b"eventstream-envelope 1 key", wrapped[:24], SHARED) == content_key
    keys = [[one["kid"], one["alg"], one["key"]] for one in envelope["recipients"]]
    bound = [[name, sealed.get(name)] for name in envelope["bound"]]
    plaintext = open_(
        base64.b64decode(envelope["ciphertext"]),
        json.dumps(
            ["eventstream-envelope", 1, "xchacha20poly1305", keys, bound], separators=(",", ":"), ensure_ascii=False
        ).encode(),
        base64.b64decode(envelope["nonce"]),
        content_key,
    )
    assert json.loads(plaintext) == {
        "data": {"a": [1, "grün", None]},
        "datacontenttype": "application/json",
        "signature": "c2ln",
    }


BOUND = {"time": "2026-11-23T01:20:02Z", "subject": "s", "extensions": {"n": 1}}


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "2"},
        {"source": "/t"},
        {"type": "u"},
        {"id": "1/", "source": "s"},
        {"time": None},
        {"time": "2026-11-23T01:20:03Z"},
        {"subject": None},
        {"subject": "S"},
        {"extensions": {}},
        {"extensions": {"n": 2}},
        {"extensions": {"n": "1"}},
        {"extensions": {"n": True}},
    ],
)
def test_it_is_bound_to_the_attributes(changed):
    with pytest.raises(EnvelopeError) as caught:
        open_envelope(sealed_of(event(**BOUND)).replace(**changed), "warehouse", bytes(PRIVATE))
    assert caught.value.reason == "altered"


def test_an_attribute_that_was_not_set_cannot_be_added_to_the_specifications_own():
    for name in ("time", "subject"):
        with pytest.raises(EnvelopeError):
            open_envelope(sealed_of(event()).with_attribute(name, "x"), "warehouse", bytes(PRIVATE))


def test_what_servers_add_on_the_way_does_not_matter():
    on_the_way = {
        "signature": "c2ln",
        "signaturekey": "server",
        "cursor": "a-1",
        "traceparent": "00-2",
        "sequence": "7",
    }
    given = event(**BOUND).with_attribute("traceparent", "00-1")
    sealed = sealed_of(given)
    for name, value in on_the_way.items():
        sealed = sealed.with_attribute(name, value)
    opened = open_envelope(sealed, "warehouse", bytes(PRIVATE))
    assert opened.extensions == {"n": 1, "cursor": "a-1", "traceparent": "00-2", "sequence": "7"}


def test_what_describes_the_data_comes_from_inside_only():
    sealed = sealed_of(event()).replace(dataschema="https://evil.example/s", datacontenttype="text/html")
    opened = open_envelope(sealed, "warehouse", bytes(PRIVATE))
    assert (opened.dataschema, opened.datacontenttype) == (None, None)


@pytest.mark.parametrize(
    ("kid", "key", "reason"),
    [
        ("warehouse", bytes(OTHER), "altered"),
        ("archive", bytes(32), "altered"),
        ("nobody", SHARED, "not_for_us"),
        ("warehouse", b"short", "not_for_us"),
    ],
)
def test_another_key_does_not_open_it(kid, key, reason):
    with pytest.raises(EnvelopeError) as caught:
        open_envelope(sealed_of(event()), kid, key)
    assert caught.value.reason == reason
    assert not any(part in str(caught.value) for part in ("short", "\\x00"))


@pytest.mark.parametrize("kid", ["warehouse", "archive"])
def test_any_altered_character_of_the_envelope_is_noticed(kid):
    sealed = sealed_of(event(data=1, extensions={"n": 1}))
    key = {"warehouse": bytes(PRIVATE), "archive": SHARED}[kid]
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
            open_envelope(sealed.replace(data=data), kid, key)
    assert checked > 300


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data.update(more=1), "altered"),
        (lambda data: data.pop("alg"), "altered"),
        (lambda data: data.pop("bound"), "altered"),
        (lambda data: data.update(bound=[*data["bound"], "extra"]), "altered"),
        (lambda data: data.update(bound=data["bound"][::-1]), "altered"),
        (lambda data: data.update(bound=[1]), "altered"),
        (lambda data: data.update(bound="id"), "altered"),
        (lambda data: data.update(bound=["id"] * 300), "altered"),
        (lambda data: data.update({"eventstream-envelope": False}), "version"),
        (lambda data: data.update({"eventstream-envelope": True}), "version"),
        (lambda data: data.update({"eventstream-envelope": 1.0}), "version"),
        (lambda data: data.update({"eventstream-envelope": 2}), "version"),
        (lambda data: data.update({"eventstream-envelope": "1"}), "version"),
        (lambda data: data.update({"eventstream-envelope": 0}), "altered"),
        (lambda data: data.update(nonce="AAAA"), "altered"),
        (lambda data: data.update(ciphertext=""), "altered"),
        (lambda data: data.update(nonce=5), "altered"),
        (lambda data: data.update(recipients=[]), "not_for_us"),
        (lambda data: data.update(recipients=data["recipients"] * 200), "altered"),
        (lambda data: data.update(recipients=data["recipients"][::-1]), "altered"),
        (lambda data: data.update(recipients=["x"]), "altered"),
        (lambda data: data["recipients"].append({"kid": "x", "alg": "sealed-box", "key": "AAAA"}), "altered"),
        (lambda data: data["recipients"][0].update(alg="none"), "altered"),
        (lambda data: data["recipients"][0].update(alg="shared"), "altered"),
        (lambda data: data["recipients"][0].update(alg="xchacha20poly1305"), "altered"),
        (lambda data: data["recipients"][0].update(key=""), "altered"),
    ],
)
def test_a_malformed_envelope_is_one_error(change, reason):
    sealed = sealed_of(event())
    data = json.loads(json.dumps(sealed.data))
    change(data)
    with pytest.raises(EnvelopeError) as caught:
        open_envelope(sealed.replace(data=data), "warehouse", bytes(PRIVATE))
    assert caught.value.reason == reason


@pytest.mark.parametrize("data", [None, 1, "x", [], {}, b"x", UNSET])
def test_what_is_no_envelope_says_so(data):
    with pytest.raises(EnvelopeError) as caught:
        open_envelope(event(data=data), "warehouse", bytes(PRIVATE))
    assert caught.value.reason == "no_envelope"


@pytest.mark.parametrize("inside", [[], {"id": "2"}, {"data": 1, "subject": "x"}])
def test_an_envelope_with_more_inside_than_allowed_is_refused(inside):
    given = event()
    sealed = seal(given, msgspec.json.encode(inside), new_content_key(RECIPIENTS))
    with pytest.raises(EnvelopeError, match="holds what none"):
        open_envelope(sealed, "warehouse", bytes(PRIVATE))


@pytest.mark.parametrize(
    "inside",
    [
        b"", b"nope", b"\xff", b"[" * 100_000, b'{"data":' + b"[" * 600 + b"]" * 600 + b"}", b'{"data":1e999}',
        b'{"data":NaN}', b'{"data":"\\ud800"}', b'{"data":1,"data":2}', b'{"data":1,"data_base64":"AA=="}',
        b'{"data_base64":5}', b'{"data_base64":"?"}', b'{"datacontenttype":5}', b'{"datacontenttype":{"a":1}}',
        b'{"datacontenttype":"a/b\\r\\nX: y"}', b'{"dataschema":"no uri"}', b'{"signature":[1]}',
        b'{"signaturekey":1.5}',
    ],
)  # fmt: skip
def test_what_no_producer_may_send_in_plain_does_not_come_out_of_an_envelope_either(inside):
    """A sealed box has no sender: whoever knows the reader's public key can seal anything."""
    sealed = seal(event(), inside, new_content_key(RECIPIENTS))
    with pytest.raises(EnvelopeError, match="holds what none") as caught:
        open_envelope(sealed, "warehouse", bytes(PRIVATE))
    assert caught.value.reason == "altered"


def test_data_of_any_depth_that_a_server_takes_opens_again():
    deep = []
    for _ in range(511):
        deep = [deep]
    assert open_envelope(sealed_of(event(data=deep)), "warehouse", bytes(PRIVATE)).data == deep


def test_secrets_stay_out_of_reprs():
    shown = repr([RECIPIENTS, new_content_key(RECIPIENTS), ContentKey(SHARED, [])])
    assert "warehouse" in shown
    assert "\\x" not in shown
    assert "key=" not in shown


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda one: one["name"])
def test_the_vectors_open_for_each_reader(vector):
    sealed = from_mapping(vector["sealed"]).event
    for reader in vector["sealed"]["data"]["recipients"]:
        key = base64.b64decode(VECTORS["keys"][reader["kid"]]["private"])
        assert open_envelope(sealed, reader["kid"], key) == from_mapping(vector["event"]).event


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda one: one["name"])
def test_the_altered_vectors_do_not_open(vector):
    key = base64.b64decode(VECTORS["keys"]["warehouse"]["private"])
    with pytest.raises(EnvelopeError):
        open_envelope(from_mapping(vector["sealed"]).event, "warehouse", key)
