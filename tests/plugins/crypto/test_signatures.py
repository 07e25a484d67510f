import pytest
from crypto_api import b64, make_key, raw
from nacl.signing import SigningKey, VerifyKey

from eventstream_plugins.points import public_of

SEED = bytes(range(1, 33))
PUBLIC = public_of("ed25519", SEED)
ORDER = 2**252 + 27742317777372353535851937790883648493
# RFC 8032, 7.1: seed, public key, message, signature
RFC_8032 = {
    "TEST 1": (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    "TEST 2": (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    "TEST 3": (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    "TEST SHA(abc)": (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
}


@pytest.mark.parametrize("name", RFC_8032)
def test_rfc_8032(api, name):
    seed, public, message, signature = map(bytes.fromhex, RFC_8032[name])
    assert raw(api.ask("public_key", kind="ed25519", key=seed)["public_key"]) == public
    for key in (seed, seed + public):
        assert raw(api.ask("sign", private_key=key, message=message)["signature"]) == signature
    assert api.ask("verify", public_key=public, message=message, signature=signature) == {"valid": True}
    assert api.ask("verify", public_key=public, message=message + b"x", signature=signature) == {"valid": False}


@pytest.mark.parametrize("size", [0, 100, 64 * 1024, 2**20])
def test_signatures_are_those_of_pynacl(api, size):
    message = bytes(size)
    signature = raw(api.ask("sign", private_key=SEED, message=message)["signature"])
    VerifyKey(PUBLIC).verify(message, signature)
    assert api.ask("verify", public_key=PUBLIC, message=message, signature=signature) == {"valid": True}
    assert signature == SigningKey(SEED).sign(message).signature


def test_any_altered_byte_is_not_valid(api):
    signature = SigningKey(SEED).sign(b"message").signature
    for place in range(64):
        altered = bytearray(signature)
        altered[place] ^= 1
        assert api.ask("verify", public_key=PUBLIC, message=b"message", signature=bytes(altered)) == {"valid": False}


def test_a_second_form_of_a_signature_is_not_valid(api):
    signature = SigningKey(SEED).sign(b"message").signature
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    other = signature[:32] + scalar.to_bytes(32, "little")
    assert api.ask("verify", public_key=PUBLIC, message=b"message", signature=other) == {"valid": False}


def test_a_signature_of_another_length_is_400(api):
    for size in (0, 32, 63, 65):
        found = api.refused("verify", public_key=PUBLIC, message=b"", signature=bytes(size))
        assert found == (400, f"this has {size} bytes; signatures have 64", "/signature")


def test_kept_keys_sign_and_verify(make_api):
    api = make_api(keys=[make_key("us", "ed25519", private=SEED)], use=["us"])
    signature = api.ask("sign", private_key={"kid": "us"}, message=b"m")["signature"]
    assert raw(signature) == SigningKey(SEED).sign(b"m").signature
    assert api.ask("verify", public_key={"kid": "us"}, message=b"m", signature=signature) == {"valid": True}
    assert api.ask("verify", public_key=b64(PUBLIC), message=b"m", signature=signature) == {"valid": True}
