"""What the server seals, signs and hashes, `libsodium-wrappers` and `tweetnacl` open and verify; and the reverse."""

import base64
import hashlib
from functools import partial

import httpx
import pytest

CONFIG = """
version: 1
server: {workers: 1, limits: {body: 2MiB}}
store:
  memory: {}
pipelines:
  - name: default
    steps: [persist]
routes:
  - crypto: {private_keys: return}
"""
BINARY = {"public_key", "private_key", "key", "ciphertext", "plaintext", "nonce", "signature", "hash", "bytes"}
SIZES = [0, 1, 100, 70_000, 2**20]


@pytest.fixture(scope="module")
def ask(serve_module):
    """A function that asks the server for one operation. Bytes become base64, and base64 in the reply bytes."""
    with httpx.Client(base_url=serve_module(CONFIG, workers=1).url, timeout=30) as client:

        def call(operation, **fields):
            fields = {name: b64(value) if isinstance(value, bytes) else value for name, value in fields.items()}
            answer = client.post("/crypto", json={"operation": operation, **fields})
            assert answer.status_code == 200, answer.text
            binary = BINARY - {"hash"} if operation == "password_hash" else BINARY
            return {name: base64.b64decode(value) if name in binary else value for name, value in answer.json().items()}

        yield call


def b64(raw):
    return base64.b64encode(raw).decode()


@pytest.fixture(scope="module")
def library(run_client):
    """A function that calls one npm library by name: `library("nacl", "box", …)`."""
    client = run_client("sodium.mjs")

    def call(name, function, *arguments):
        count = len(client.lines)
        given = [{"base64": b64(one)} if isinstance(one, bytes) else one for one in arguments]
        client.tell({"library": name, "call": function, "arguments": given})
        answer = client.wait(lambda lines: lines[count:], f"{name}.{function}")[0]
        assert "error" not in answer, answer
        return told(answer["value"])

    return call


def told(value):
    if not isinstance(value, dict):
        return value
    return base64.b64decode(value["base64"]) if "base64" in value else {name: told(one) for name, one in value.items()}


@pytest.fixture(scope="module")
def sodium(library):
    return partial(library, "sodium")


@pytest.fixture(scope="module")
def sumo(library):
    return partial(library, "sumo")


@pytest.fixture(scope="module")
def nacl(library):
    return partial(library, "nacl")


@pytest.fixture(scope="module")
def ours(ask):
    """A Curve25519 pair that the server made: public, private."""
    pair = ask("generate_key", kind="curve25519")
    return pair["public_key"], pair["private_key"]


@pytest.fixture(scope="module", params=["sodium", "nacl"])
def theirs(request, sodium, nacl):
    """A Curve25519 pair that each library made: public, private."""
    if request.param == "sodium":
        pair = sodium("crypto_box_keypair")
        return pair["publicKey"], pair["privateKey"]
    pair = nacl("box.keyPair")
    return pair["publicKey"], pair["secretKey"]


@pytest.fixture(params=SIZES)
def message(request):
    return hashlib.shake_128(b"message").digest(request.param)


def test_boxes_of_the_server_open(ask, sodium, nacl, ours, theirs, message):
    sealed = ask("box", public_key=theirs[0], private_key=ours[1], plaintext=message)
    ciphertext, nonce = sealed["ciphertext"], sealed["nonce"]
    assert sodium("crypto_box_open_easy", ciphertext, nonce, ours[0], theirs[1]) == message
    assert nacl("box.open", ciphertext, nonce, ours[0], theirs[1]) == message


def test_boxes_of_the_libraries_open(ask, sodium, nacl, ours, theirs, message):
    nonce = bytes(range(24))
    for seal in (partial(sodium, "crypto_box_easy"), partial(nacl, "box")):
        ciphertext = seal(message, nonce, ours[0], theirs[1])
        opened = ask("box_open", public_key=theirs[0], private_key=ours[1], ciphertext=ciphertext, nonce=nonce)
        assert opened["plaintext"] == message


def test_sealed_boxes_open_both_ways(ask, sodium, ours, theirs, message):
    sealed = ask("sealed_box", public_key=theirs[0], plaintext=message)
    assert sodium("crypto_box_seal_open", sealed["ciphertext"], *theirs) == message
    ciphertext = sodium("crypto_box_seal", message, ours[0])
    assert ask("sealed_box_open", private_key=ours[1], ciphertext=ciphertext)["plaintext"] == message


@pytest.mark.parametrize("bound", [b"", b"associated"])
def test_secret_keys_encrypt_both_ways(ask, sodium, message, bound):
    call = "crypto_aead_xchacha20poly1305_ietf"
    key, nonce = sodium(f"{call}_keygen"), bytes(range(24))
    sealed = ask("encrypt", key=key, plaintext=message, associated_data=bound)
    assert sodium(f"{call}_decrypt", None, sealed["ciphertext"], bound, sealed["nonce"], key) == message
    key = ask("generate_key", kind="secret")["key"]
    ciphertext = sodium(f"{call}_encrypt", message, bound, None, nonce, key)
    opened = ask("decrypt", key=key, ciphertext=ciphertext, nonce=nonce, associated_data=bound)
    assert opened["plaintext"] == message


def test_signatures_verify_both_ways(ask, sodium, nacl, message):
    pair = ask("generate_key", kind="ed25519")
    signature = ask("sign", private_key=pair["private_key"], message=message)["signature"]
    assert sodium("crypto_sign_detached", message, pair["private_key"]) == signature
    assert nacl("sign.detached", message, pair["private_key"]) == signature
    assert sodium("crypto_sign_verify_detached", signature, message, pair["public_key"])
    assert nacl("sign.detached.verify", message, signature, pair["public_key"])
    for pair, half in ((sodium("crypto_sign_keypair"), "privateKey"), (nacl("sign.keyPair"), "secretKey")):
        public, private = pair["publicKey"], pair[half]
        signature = nacl("sign.detached", message, private)
        assert ask("verify", public_key=public, message=message, signature=signature)["valid"]
        assert not ask("verify", public_key=public, message=message[1:] + b"x", signature=signature)["valid"]
        assert ask("public_key", kind="ed25519", key=private)["public_key"] == public


def test_public_halves_are_those_of_the_libraries(ask, sodium, nacl, ours, theirs):
    assert ask("public_key", kind="curve25519", key=theirs[1])["public_key"] == theirs[0]
    assert sodium("crypto_scalarmult_base", ours[1]) == nacl("scalarMult.base", ours[1]) == ours[0]
    for kind, pair in (("curve25519", ours), ("curve25519", theirs)):
        assert ask("validate_key", kind=kind, public_key=pair[0], private_key=pair[1])["valid"]


def test_hashes_are_the_same(ask, sodium, sumo, nacl, message):
    key = bytes(range(1, 33))
    assert ask("hash", data=message)["hash"] == sodium("crypto_generichash", 32, message, None)
    assert ask("hash", data=message, size=64, key=key)["hash"] == sodium("crypto_generichash", 64, message, key)
    assert ask("hash", algorithm="sha256", data=message)["hash"] == sumo("crypto_hash_sha256", message)
    sha512 = ask("hash", algorithm="sha512", data=message)["hash"]
    assert sha512 == sumo("crypto_hash_sha512", message) == nacl("hash", message)


def test_password_hashes_verify_both_ways(ask, sumo):
    found = ask("password_hash", password="pässword")
    assert sumo("crypto_pwhash_str_verify", found["hash"], "pässword")
    theirs = sumo("crypto_pwhash_str", "pässword", 2, 64 * 2**20)
    assert ask("password_verify", password="pässword", hash=theirs)["valid"]
    assert not ask("password_verify", password="password", hash=theirs)["valid"]


def test_comparison_and_random_bytes(ask, sodium, nacl):
    found = ask("random", size=32)["bytes"]
    assert len(found) == 32
    for other in (found, bytes(32)):
        assert (
            ask("compare", a=found, b=other)["equal"] == sodium("memcmp", found, other) == nacl("verify", found, other)
        )
