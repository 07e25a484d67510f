import secrets

import pytest
from nacl.public import PrivateKey
from nacl.signing import SigningKey

from eventstream_plugins.points import judge_pair, judge_private, judge_public, public_of

PRIME = 2**255 - 19
KINDS = ("ed25519", "curve25519")
LOW_Y = [1, PRIME - 1, 2707385501144840649318225287225658788936804267575313519463743609750303402022]
LOW_U = [1, PRIME - 1, 325606250916557431795983626356110631294008115727848805560023387167927233504]


def le(number):
    return number.to_bytes(32, "little")


def pair(kind):
    if kind == "ed25519":
        key = SigningKey.generate()
        return bytes(key.verify_key), bytes(key)
    other = PrivateKey.generate()
    return bytes(other.public_key), bytes(other)


@pytest.mark.parametrize("kind", KINDS)
def test_honest_pairs_are_good(kind):
    for _ in range(50):
        public, private = pair(kind)
        assert judge_public(kind, public) is None
        assert judge_pair(kind, public, private) is None
        assert public_of(kind, private) == public


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "has 0 bytes"),
        (b"x" * 31, "has 31 bytes"),
        (b"x" * 33, "has 33 bytes"),
        (bytes(32), "all zero"),
        (le(PRIME), "canonical"),
        (le(PRIME + 1), "canonical"),
        (le(2**255 - 1), "canonical"),
    ],
)
def test_broken_public_halves(kind, raw, words):
    assert words in judge_public(kind, raw)


@pytest.mark.parametrize("number", LOW_Y)
@pytest.mark.parametrize("sign", [0, 2**255])
def test_low_order_on_ed25519(number, sign):
    assert "low order" in judge_public("ed25519", le(number + sign))


@pytest.mark.parametrize("number", LOW_U)
def test_low_order_on_curve25519(number):
    assert "low order" in judge_public("curve25519", le(number))


def test_a_curve25519_key_with_its_highest_bit_set_is_not_canonical():
    public, _ = pair("curve25519")
    assert "canonical" in judge_public("curve25519", public[:31] + bytes([public[31] | 0x80]))


def test_a_point_beside_the_curve_and_one_of_mixed_order():
    assert "no point" in judge_public("ed25519", le(2))
    public, _ = pair("ed25519")
    y = int.from_bytes(public, "little") % 2**255
    negated = (PRIME - y) % PRIME  # -y: the point plus the one of order 2
    sign = (public[31] & 0x80) ^ 0x80
    assert "no point" in judge_public("ed25519", le(negated + (sign << 248)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_mismatched_pair(kind):
    public, private = pair(kind)
    other, _ = pair(kind)
    assert "mismatched" in judge_pair(kind, other, private)
    assert "has 31 bytes" in judge_pair(kind, public, private[:31])
    assert "all zero" in judge_pair(kind, public, bytes(32))


@pytest.mark.parametrize(
    ("kind", "raw", "words"),
    [
        ("hmac", b"x" * 15, "has 15 bytes"),
        ("hmac", b"x" * 513, "has 513 bytes"),
        ("hmac", bytes(16), "all zero"),
        ("secret", b"x" * 16, "has 16 bytes"),
        ("secret", bytes(32), "all zero"),
    ],
)
def test_broken_secrets(kind, raw, words):
    assert words in judge_private(kind, raw)


def test_good_secrets():
    assert judge_private("hmac", secrets.token_bytes(16)) is None
    assert judge_private("hmac", secrets.token_bytes(512)) is None
    assert judge_private("secret", secrets.token_bytes(32)) is None
