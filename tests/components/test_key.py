import base64
import math

import pytest

from eventstream import Key, Keys, decode_base64
from eventstream.components.keyring import Keyring, KnownKeys, LiveKeys

NOW = 1_800_000_000.0


class Ring(Keyring):
    """A keyring whose keys the test sets."""

    name = "ring"
    asked = 0
    number = 1
    held: tuple[Key, ...] = ()

    @property
    def revision(self):
        return self.number

    def keys(self):
        self.asked += 1
        return self.held


def key(kid="k", **fields):
    return Key(kid, **{"owner": "shop", "kind": "hmac"} | fields)


@pytest.mark.parametrize(
    ("fields", "lapse", "in_use"),
    [
        ({}, None, True),
        ({"state": "retiring"}, None, False),
        ({"state": "revoked"}, "revoked", False),
        ({"state": "revoked", "expires": NOW - 1}, "revoked", False),
        ({"not_before": NOW + 1}, "not_yet_valid", False),
        ({"not_before": NOW}, None, True),
        ({"expires": NOW}, "expired", False),
        ({"expires": NOW + 0.001}, None, True),
    ],
)
def test_when_a_key_counts(fields, lapse, in_use):
    one = key(**fields)
    assert one.lapse(NOW) == lapse
    assert one.accepted(NOW) == (lapse is None)
    assert one.in_use(NOW) == in_use


def test_a_clock_that_jumps_is_believed():
    one = key(not_before=NOW, expires=NOW + 60)
    assert [one.lapse(at) for at in (NOW - 1, NOW + 59, NOW + 3600, NOW)] == ["not_yet_valid", None, "expired", None]


def test_the_private_half_is_not_shown():
    assert "hush" not in repr(key(private=b"hush"))
    assert key(private=b"hush").expires == math.inf


def test_keys_are_found_by_owner_and_by_id():
    first, second, other = key("shop-2"), key("shop-1"), key("till-1", owner="till")
    keys = Keys([first, second, other])
    assert keys.of("shop") == (first, second)
    assert keys.of("shop-1") == (second,)
    assert keys.find("till-1") is other
    assert keys.find("shop") is None
    assert keys.of("nobody") == ()


def test_an_id_that_is_another_owners_name_gives_nobody_that_owners_standing():
    forged = key("shop", owner="thief")
    assert Keys([key("a"), forged]).of("shop") == (key("a"),)
    assert Keys([key("a"), forged]).find("shop") is None
    assert Keys([key("shop", owner="shop")]).find("shop") is not None


def test_live_keys_follow_the_keyring():
    ring = Ring()
    keys = LiveKeys([key("fixed")], ring)
    assert keys.of("shop") == (key("fixed"),)
    ring.held = (key("new"),)
    assert keys.of("shop") == (key("fixed"),)  # as long as the revision stands, nothing is read anew
    ring.number = 2
    assert keys.of("shop") == (key("fixed"), key("new"))
    asked = ring.asked
    assert keys.of("new") == (key("new"),)
    assert (ring.asked, keys.revision, keys.open) == (asked, 2, True)


def test_trouble_names_what_would_be_right():
    keys = Keys([key("shop", kind="hmac"), key("faulty", owner="faulty", kind="")])
    assert keys.trouble("shop", ["hmac", "ed25519"]) is None
    assert keys.trouble("faulty", ["hmac"]) is None
    wrong = keys.trouble("shop", ["curve25519"], "/to/0")
    assert (wrong.message, wrong.pointer, wrong.severity) == ("key shop is of kind hmac", "/to/0", "error")
    unknown = keys.trouble("ship", ["hmac"])
    assert (unknown.message, unknown.severity) == ("there is no key ship", "error")


def test_with_a_keyring_a_missing_key_is_only_a_warning():
    missing = KnownKeys([]).trouble("shop", ["ed25519"])
    assert missing.severity == "warning"
    assert missing.hint.startswith("eventstream keys new ed25519 --owner shop")


@pytest.mark.parametrize("raw", [b"", b"\xff", b"\xff\xfe", bytes(range(32)), b"\xfb\xff" * 8])
def test_base64_of_both_alphabets(raw):
    standard, url = base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()
    assert {decode_base64(text) for text in (standard, url, standard.rstrip("="), url.rstrip("="))} == {raw}


@pytest.mark.parametrize("text", ["A", "AB=", "AB===", "AR==", "AQ=Q", "A Q=", "AQ\n=", "é", "!" * 4, "====", "AQID="])
def test_what_is_not_base64(text):
    with pytest.raises(ValueError, match="this is not base64") as caught:
        decode_base64(text)
    assert text not in str(caught.value)
