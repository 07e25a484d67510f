import base64
import json
from pathlib import Path

import pytest
from nacl.public import PrivateKey

from eventstream import ConfigError, Event, Key, Keys, Reject, from_mapping
from eventstream.testing.step_runner import installed
from eventstream_plugins.encrypt.envelope import Recipient, new_content_key, plaintext_of, seal

VECTORS = json.loads((Path(__file__).parents[2] / "docs" / "reference" / "envelope-vectors.json").read_text())
PRIVATE = PrivateKey(bytes(range(32)))
OTHER = PrivateKey(bytes(range(1, 33)))
SHARED = bytes(range(64, 96))
NOW = 1_800_000_000.0


def pair(kid, private=PRIVATE, owner="warehouse", **fields):
    return Key(kid, owner, "curve25519", public=bytes(private.public_key), private=bytes(private), **fields)


def event(**fields):
    return Event(**{"id": "1", "source": "/s", "type": "t", "data": {"total": 12.5}, **fields})


def sealed_for(*recipients, **fields):
    given = event(**fields)
    return seal(given, plaintext_of(given), new_content_key(recipients))


def box(kid, private=PRIVATE):
    return Recipient(kid, "sealed-box", bytes(private.public_key))


def halves(key):
    return {half: base64.b64decode(key[half]) for half in ("public", "private") if half in key}


def shared(kid):
    return Recipient(kid, "xchacha20poly1305", SHARED)


@pytest.fixture
def services(run_steps):
    run_steps.services.clock = lambda: NOW
    run_steps.services.keys = Keys([pair("w-1"), Key("archive", "archive", "secret", private=SHARED)])
    return run_steps.services


@pytest.fixture
def decrypt(run_steps, services):
    def decrypt(events, **options):
        return run_steps([{"decrypt": {"keys": ["warehouse", "archive"]} | options}], events)

    return decrypt


def refusal(call, *arguments, **options):
    with pytest.raises(Reject) as caught:
        call(*arguments, **options)
    return caught.value.status, caught.value.reason


def test_it_opens_with_whatever_key_it_has(decrypt):
    assert decrypt(sealed_for(box("other", OTHER), box("w-1"))) == event()
    assert decrypt(sealed_for(shared("archive"))) == event()


def test_what_encrypt_seals_decrypt_opens(run_steps, services):
    given = event(datacontenttype="text/plain", data="x" * 300_000, subject="s", extensions={"n": 1})
    assert run_steps([{"encrypt": {"to": ["warehouse"]}}, {"decrypt": {"keys": ["warehouse"]}}], given) == given


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda one: one["name"])
def test_it_opens_the_vectors_of_every_version(decrypt, services, vector):
    services.keys = Keys(Key(f"{name}-2026", name, key["kind"], **halves(key)) for name, key in VECTORS["keys"].items())
    readers = [one["kid"] for one in vector["sealed"]["data"]["recipients"]]
    for reader in readers:
        assert decrypt(from_mapping(vector["sealed"]).event, keys=[reader]) == from_mapping(vector["event"]).event


def test_an_envelope_that_is_not_for_us_is_refused(decrypt):
    assert refusal(decrypt, sealed_for(box("other", OTHER))) == (422, "not_for_us")


def test_an_altered_envelope_is_refused(decrypt):
    assert refusal(decrypt, sealed_for(box("w-1")).replace(id="2")) == (422, "altered")


def test_an_envelope_of_another_version_is_refused_also_where_plain_events_pass(decrypt):
    sealed = sealed_for(box("w-1"))
    later = sealed.replace(data=sealed.data | {"eventstream-envelope": 2})
    assert refusal(decrypt, later) == (422, "version")
    assert refusal(decrypt, later, plain="pass") == (422, "version")
    assert refusal(decrypt, sealed.replace(data={"eventstream-envelope": 1}), plain="pass") == (422, "altered")


def test_plain_events_are_refused_or_passed(decrypt):
    assert refusal(decrypt, event()) == (422, "no_envelope")
    assert decrypt(event(), plain="pass") == event()


def test_a_batch_keeps_its_order(decrypt):
    outcomes = decrypt([sealed_for(box("w-1")), event(), sealed_for(box("other", OTHER))])
    assert outcomes[0] == event()
    assert [one.reason for one in outcomes[1:]] == ["no_envelope", "not_for_us"]


def test_which_keys_open(decrypt, run_steps, services):
    sealed = sealed_for(box("w-1"))
    for good in (pair("w-1", state="retiring"), pair("w-1", purpose="seal")):
        services.keys = Keys([good])
        assert decrypt(sealed, keys=["warehouse"]) == event()
    unusable = [
        pair("w-1", state="revoked"),
        pair("w-1", expires=NOW),
        pair("w-1", not_before=NOW + 1),
        pair("w-1", purpose="token"),
        Key("w-1", "warehouse", "curve25519", public=bytes(PRIVATE.public_key)),
    ]
    step = run_steps.build({"decrypt": {"keys": ["warehouse"]}})
    for bad in unusable:
        services.keys = Keys([bad])
        assert refusal(step.process, sealed, run_steps.context) == (503, "no_key")


def test_numbered_keys_open_after_a_new_one_was_put_before_them(decrypt, services):
    """In the section `keys`, `warehouse` is `warehouse-2` once a newer text stands above it."""
    sealed = sealed_for(shared("archive"))
    newer = Key("archive", "archive", "secret", private=bytes(32))
    services.keys = Keys([newer, Key("archive-2", "archive", "secret", private=SHARED)])
    assert decrypt(sealed, keys=["archive"]) == event()
    assert decrypt(sealed_for(shared("archive-3")), keys=["archive"]) == event()


def test_how_much_is_tried_is_bounded(decrypt, services):
    services.keys = Keys([pair(f"warehouse-{n}", OTHER) for n in range(50)] + [pair("warehouse-99")])
    assert refusal(decrypt, sealed_for(box("warehouse")), keys=["warehouse"]) == (422, "altered")
    assert decrypt(sealed_for(box("warehouse-99")), keys=["warehouse"]) == event()


def test_a_key_that_opens_nothing_stops_the_start(run_steps, services):
    services.keys = Keys([Key("w-1", "warehouse", "curve25519", public=bytes(PRIVATE.public_key))])
    with pytest.raises(ConfigError, match="public half only"):
        run_steps.build({"decrypt": {"keys": ["warehouse"]}})


@pytest.mark.parametrize("options", [{}, {"keys": []}, {"keys": ["a", "a"]}, {"keys": ["a"], "plain": "drop"}])
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError):  # noqa: PT011  # msgspec's error, whose words are its own
        installed().get("step", "decrypt").component.create(options)
