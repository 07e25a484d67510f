"""What is sealed opens again, here and in PyNaCl; what was altered does not, and nobody is told why."""

import pytest
from crypto_api import b64, make_key, raw
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt
from nacl.public import Box, PrivateKey, PublicKey, SealedBox

from eventstream_plugins.points import public_of

ANNA, BERT = bytes(range(1, 33)), bytes(range(2, 34))
ANNA_PUBLIC, BERT_PUBLIC = public_of("curve25519", ANNA), public_of("curve25519", BERT)
SECRET = bytes(range(3, 35))
SIZES = [0, 1, 16, 1000, 64 * 1024 - 1, 64 * 1024, 2**20]
UNOPENED = (422, "this does not open: another key, nonce or associated data, or it was altered", "/ciphertext")


@pytest.mark.parametrize("size", SIZES)
def test_boxes_open(api, size):
    plaintext = bytes(size)
    sealed = api.ask("box", public_key=BERT_PUBLIC, private_key=ANNA, plaintext=plaintext)
    assert (
        Box(PrivateKey(BERT), PublicKey(ANNA_PUBLIC)).decrypt(raw(sealed["ciphertext"]), raw(sealed["nonce"]))
        == plaintext
    )
    opened = api.ask("box_open", public_key=ANNA_PUBLIC, private_key=BERT, **sealed)
    assert opened == {"plaintext": b64(plaintext)}


@pytest.mark.parametrize("size", SIZES)
def test_sealed_boxes_open(api, size):
    plaintext = bytes(size)
    sealed = api.ask("sealed_box", public_key=BERT_PUBLIC, plaintext=plaintext)
    assert SealedBox(PrivateKey(BERT)).decrypt(raw(sealed["ciphertext"])) == plaintext
    assert api.ask("sealed_box_open", private_key=BERT, **sealed) == {"plaintext": b64(plaintext)}


@pytest.mark.parametrize("size", SIZES)
def test_what_is_encrypted_is_decrypted(api, size):
    plaintext, bound = bytes(size), b"bound"
    sealed = api.ask("encrypt", key=SECRET, plaintext=plaintext, associated_data=bound)
    ciphertext, nonce = raw(sealed["ciphertext"]), raw(sealed["nonce"])
    assert crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, bound, nonce, SECRET) == plaintext
    assert api.ask("decrypt", key=SECRET, associated_data=bound, **sealed) == {"plaintext": b64(plaintext)}


def test_no_nonce_comes_twice(api):
    sealed = [api.ask("encrypt", key=SECRET, plaintext=b"x") for _ in range(20)]
    sealed += [api.ask("box", public_key=BERT_PUBLIC, private_key=ANNA, plaintext=b"x") for _ in range(20)]
    assert len({one["nonce"] for one in sealed}) == 40
    assert api.refused("encrypt", key=SECRET, plaintext=b"x", nonce=bytes(24)) == (
        400,
        "encrypt has no nonce",
        "/nonce",
    )


def openings(api):
    """Each opening with fields that do open."""
    boxed = api.ask("box", public_key=BERT_PUBLIC, private_key=ANNA, plaintext=b"secret")
    return {
        "box_open": {"public_key": b64(ANNA_PUBLIC), "private_key": b64(BERT), **boxed},
        "sealed_box_open": {
            "private_key": b64(BERT), **api.ask("sealed_box", public_key=BERT_PUBLIC, plaintext=b"secret")
        },
        "decrypt": {
            "key": b64(SECRET), "associated_data": b64(b"bound"),
            **api.ask("encrypt", key=SECRET, plaintext=b"secret", associated_data=b"bound"),
        },
    }  # fmt: skip


@pytest.mark.parametrize("operation", ["box_open", "sealed_box_open", "decrypt"])
def test_any_altered_byte_does_not_open(api, operation):
    fields = openings(api)[operation]
    assert api.ask(operation, **fields) == {"plaintext": b64(b"secret")}
    for field in sorted(fields.keys() & {"ciphertext", "nonce", "associated_data"}):
        good = raw(fields[field])
        for place in range(len(good)):
            altered = bytearray(good)
            altered[place] ^= 1
            assert api.refused(operation, **fields | {field: bytes(altered)}) == UNOPENED
    assert api.refused(operation, **fields | {"ciphertext": raw(fields["ciphertext"])[:-1]}) == UNOPENED
    for field in sorted(fields.keys() & {"private_key", "key"}):
        assert api.refused(operation, **fields | {field: b"other" + bytes(27)}) == UNOPENED


def test_a_sealed_box_from_a_point_of_low_order_does_not_open(api):
    assert api.refused("sealed_box_open", private_key=BERT, ciphertext=bytes(64)) == UNOPENED


@pytest.mark.parametrize(("operation", "least"), [("box_open", 16), ("sealed_box_open", 48), ("decrypt", 16)])
def test_a_ciphertext_that_is_too_short_is_422(api, operation, least):
    fields = openings(api)[operation]
    for size in (0, least - 1):
        found = api.refused(operation, **fields | {"ciphertext": bytes(size)})
        assert found == (422, f"this has {size} bytes; a ciphertext has at least {least}", "/ciphertext")


@pytest.mark.parametrize("operation", ["box_open", "decrypt"])
def test_a_nonce_of_another_length_is_400(api, operation):
    fields = openings(api)[operation]
    for size in (0, 12, 23, 25):
        found = api.refused(operation, **fields | {"nonce": bytes(size)})
        assert found == (400, f"this has {size} bytes; nonces have 24", "/nonce")


def test_kept_keys_do_what_keys_in_requests_do(make_api):
    pair, secret = make_key("bert", "curve25519", private=BERT), make_key("us", "secret", private=SECRET)
    api = make_api(keys=[pair, secret], use=["*"])
    sealed = api.ask("sealed_box", public_key={"kid": "bert"}, plaintext=b"x")
    assert api.ask("sealed_box_open", private_key={"kid": "bert"}, **sealed) == {"plaintext": b64(b"x")}
    boxed = api.ask("box", public_key={"kid": "bert"}, private_key=ANNA, plaintext=b"x")
    assert api.ask("box_open", public_key=ANNA_PUBLIC, private_key={"kid": "bert"}, **boxed) == {"plaintext": b64(b"x")}
    encrypted = api.ask("encrypt", key={"kid": "us"}, plaintext=b"x")
    assert api.ask("decrypt", key=SECRET, **encrypted) == {"plaintext": b64(b"x")}


def test_a_known_ciphertext_decrypts(api):
    # draft-irtf-cfrg-xchacha-03, A.3.1
    plaintext = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
        b"sunscreen would be it."
    )
    ciphertext = (
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216"
        "cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13"
        "b52e" "c0875924c1c7987947deafd8780acf49"
    )  # fmt: skip
    opened = api.ask(
        "decrypt",
        key=bytes(range(0x80, 0xA0)),
        nonce=bytes(range(0x40, 0x58)),
        associated_data=bytes.fromhex("50515253c0c1c2c3c4c5c6c7"),
        ciphertext=bytes.fromhex(ciphertext),
    )
    assert raw(opened["plaintext"]) == plaintext
