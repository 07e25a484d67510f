import hashlib

import pytest
from crypto_api import b64, make_key, raw

VECTORS = [
    ("blake2b", 64, b"abc", (  # RFC 7693, appendix A
        "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
        "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"
    )),
    ("blake2b", None, b"", "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"),
    ("sha256", None, b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),  # FIPS 180-2
    ("sha512", None, b"abc", (
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
    )),
]  # fmt: skip


@pytest.mark.parametrize(("algorithm", "size", "data", "expected"), VECTORS)
def test_published_hashes(api, algorithm, size, data, expected):
    options = {} if size is None else {"size": size}
    assert raw(api.ask("hash", algorithm=algorithm, data=data, **options)["hash"]).hex() == expected


def test_a_published_keyed_hash(api):
    # the keyed BLAKE2b vectors of its authors: key 00…3f, input 00
    key, expected = bytes(range(64)), (
        "961f6dd1e4dd30f63901690c512e78e4b45e4742ed197c3c5e45c549fd25f2e4"
        "187b0bc9fe30492b16b0d0bc4ef9b0f34c7003fac09a5ef1532e69430234cebd"
    )  # fmt: skip
    assert raw(api.ask("hash", key=key, data=b"\0", size=64)["hash"]).hex() == expected


def test_blake2b_is_the_default(api):
    assert raw(api.ask("hash", data=b"abc")["hash"]) == hashlib.blake2b(b"abc", digest_size=32).digest()


def test_large_data_is_hashed(api):
    data = bytes(2**20)
    for name in ("sha256", "sha512"):
        assert raw(api.ask("hash", algorithm=name, data=data)["hash"]) == hashlib.new(name, data).digest()


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"algorithm": "md5"}, (400, "expected blake2b or sha256 or sha512", "/algorithm")),
        ({"algorithm": "sha256", "key": "A" * 32}, (400, "sha256 takes no key; blake2b does", "/key")),
        ({"algorithm": "sha512", "size": 32}, (400, "sha512 takes no size; blake2b does", "/size")),
        ({"size": 15}, (400, "Expected `int` >= 16", "/size")),
        ({"size": 65}, (400, "Expected `int` <= 64", "/size")),
        ({"key": b"k" * 15}, (422, "this key has 15 bytes; the key of a hash has 16 to 64", "/key")),
        ({"key": b"k" * 65}, (422, "this key has 65 bytes; the key of a hash has 16 to 64", "/key")),
        ({"key": bytes(32)}, (422, "this key is all zero", "/key")),
    ],
)
def test_bad_hashing_is_refused(api, fields, refusal):
    assert api.refused("hash", data=b"", **fields) == refusal


@pytest.mark.parametrize("kind", ["secret", "hmac"])
def test_kept_secrets_key_a_hash(make_api, kind):
    api = make_api(keys=[make_key("us", kind, private=b"k" * 32)], use=["us"])
    found = api.ask("hash", key={"kid": "us"}, data=b"x")
    assert raw(found["hash"]) == hashlib.blake2b(b"x", digest_size=32, key=b"k" * 32).digest()


@pytest.mark.parametrize(
    ("a", "b", "equal"), [(b"", b"", True), (b"ab", b"ab", True), (b"ab", b"ac", False), (b"ab", b"abc", False)]
)
def test_bytes_are_compared(api, a, b, equal):
    assert api.ask("compare", a=a, b=b) == {"equal": equal}


def test_both_alphabets_are_taken_and_one_is_answered(api):
    value = b"\xfb\xff\xfe"
    assert b64(value) == "+//+"
    for text in ("+//+", "-__-", "-//-"):
        assert api.ask("compare", a=text, b=value) == {"equal": True}
    assert api.ask("compare", a="YQ", b="YQ==") == {"equal": True}


def test_random_bytes_are_as_many_as_asked_for(api):
    for size in (1, 32, 65536):
        assert len(raw(api.ask("random", size=size)["bytes"])) == size
    assert api.ask("random", size=32) != api.ask("random", size=32)
    assert api.refused("random", size=0) == (400, "Expected `int` >= 1", "/size")
    assert api.refused("random", size=65537) == (400, "Expected `int` <= 65536", "/size")
