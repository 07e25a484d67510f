import base64
import json

import pytest

from eventstream import Key
from eventstream.testing.keyring_contract import PUBLIC, SEED
from eventstream_plugins.keyring.jwk import to_jwk
from eventstream_plugins.keyring.make import KINDS, make_key
from eventstream_plugins.keyring.texts import public_text, read_texts, write_text

# RFC 8037, appendix A.1: the key of RFC 8032, section 7.1, test 1, as a JWK.
RFC_8037 = (
    '{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",'
    '"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'
)
# Standard Webhooks' own pair.
WHSK = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
WHPK = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
B64 = base64.b64encode(PUBLIC).decode()
SECRET = base64.b64encode(SEED).decode()
PAIR = Key("k", "o", "ed25519", PUBLIC, SEED)


def read(text, kind=None, *, private=False):
    return [tuple(one) for one in read_texts(text, kind, private=private)]


@pytest.mark.parametrize(
    ("text", "kind", "private", "found"),
    [
        (RFC_8037, None, False, ("ed25519", PUBLIC, SEED, None)),
        (WHPK, None, False, ("ed25519", base64.b64decode(WHPK[5:]), b"", None)),
        (WHSK, None, False, ("ed25519", base64.b64decode(WHPK[5:]), base64.b64decode(WHSK[5:])[:32], None)),
        (f" {WHPK}\n", "ed25519", False, ("ed25519", base64.b64decode(WHPK[5:]), b"", None)),
        (B64, "ed25519", False, ("ed25519", PUBLIC, b"", None)),
        (SECRET, "ed25519", True, ("ed25519", PUBLIC, SEED, None)),
        (base64.b64encode(SEED + PUBLIC).decode(), "ed25519", True, ("ed25519", PUBLIC, SEED, None)),
        (SECRET, "secret", False, ("secret", b"", SEED, None)),
        (f"whsec_{SECRET}", None, False, ("hmac", b"", SEED, None)),
        (SECRET, "hmac", False, ("hmac", b"", SEED, None)),
        ("sha256:" + PUBLIC.hex(), None, False, ("api-key", PUBLIC, b"", None)),
        (json.dumps({"kty": "oct", "k": SECRET, "alg": "HS256", "kid": "x"}), None, False, ("hmac", b"", SEED, "x")),
        (json.dumps({"kty": "oct", "k": SECRET}), "secret", False, ("secret", b"", SEED, None)),
    ],
)
def test_what_import_reads(text, kind, private, found):
    assert read(text, kind, private=private) == [found]


def test_a_jwk_set_is_many_keys():
    text = json.dumps({"keys": [to_jwk(PAIR), {"kty": "oct", "k": SECRET, "alg": "HS512"}]})
    assert [one[0] for one in read(text)] == ["ed25519", "hmac"]


@pytest.mark.parametrize(
    ("text", "kind", "private", "words"),
    [
        ("", None, False, "say what this base64 is"),
        (B64, None, False, "say what this base64 is"),
        ("whpk_AAAA", None, False, "32 bytes, not 3"),
        ("whsec_AAAA", None, False, "24 to 64 bytes"),
        ("whsk_AAAA", None, False, "32 bytes, not 3"),
        ("!!!!", "ed25519", False, "not base64"),
        (WHPK, "curve25519", False, "of kind ed25519, not curve25519"),
        ("-----BEGIN PRIVATE KEY-----", None, False, "PEM is not read"),
        ("esk_ops_" + "A" * 43, None, False, "import its SHA-256"),
        ("{", None, False, "not JSON"),
        ('{"keys": []}', None, False, "no keys"),
        ('{"keys": [1]}', None, False, "a JWK is a JSON object"),
        ('{"kty": "RSA", "n": "x"}', None, False, "kty is not OKP or oct"),
        ('{"kty": "OKP", "crv": "Ed448", "x": "AA"}', None, False, "crv is not"),
        ('{"kty": "OKP", "crv": "Ed25519"}', None, False, "has no x"),
        ('{"kty": "OKP", "crv": "Ed25519", "x": "?"}', None, False, "x: this is not base64"),
        ('{"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": 7}', None, False, "kid is no text"),
        (json.dumps({"kty": "oct", "k": SECRET}), None, False, "--kind secret or --kind hmac"),
        (base64.b64encode(SEED + SEED).decode(), "ed25519", True, ""),
    ],
)
def test_what_import_refuses_without_showing_it(text, kind, private, words):
    if not words:  # a public half that does not belong: judged with all others when it is added
        assert read(text, kind, private=private) == [("ed25519", SEED, SEED, None)]
        return
    with pytest.raises(ValueError, match=words) as caught:
        read(text, kind, private=private)
    for secret in (SECRET, "A" * 43):
        assert secret not in str(caught.value)


def test_a_jwk_with_two_public_halves_is_refused():
    both = json.dumps(to_jwk(PAIR) | {"d": base64.urlsafe_b64encode(SEED + SEED).decode()})
    with pytest.raises(ValueError, match="two public halves"):
        read(both)


@pytest.mark.parametrize("kind", KINDS)
def test_what_export_writes_is_read_again(kind):
    key = make_key(kind, "shop", 1.8e9).key
    for form in (None, "jwk", "raw", "webhook"):
        for private in (False, True):
            try:
                text = write_text(key, form, private=private)
            except ValueError:
                continue
            (found,) = read_texts(text, kind, private=private and form == "raw")
            assert (found.kind, found.public) == (kind, key.public)
            assert found.private == (key.private if private else b"")


def test_known_texts():
    assert json.loads(write_text(PAIR, "jwk", private=True)) == {**json.loads(RFC_8037), "kid": "k", "use": "sig"}
    (key,) = read_texts(WHSK, None, private=False)
    whole = Key("k", "o", *key[:3])
    assert write_text(whole, "webhook", private=True) == WHSK
    assert write_text(whole, "webhook", private=False) == WHPK == public_text(whole)
    assert write_text(Key("k", "o", "hmac", private=SEED), None, private=True) == f"whsec_{SECRET}"
    assert write_text(Key("k", "o", "secret", private=SEED), None, private=True) == SECRET


@pytest.mark.parametrize("kind", KINDS)
def test_without_asking_nothing_private_is_written(kind):
    made = make_key(kind, "shop", 1.8e9)
    shown = [public_text(made.key), repr(made), repr(made.key)]
    for form in (None, "jwk", "raw", "webhook"):
        try:
            shown.append(write_text(made.key, form, private=False))
        except ValueError as error:
            shown.append(str(error))
    secrets = [base64.b64encode(made.key.private).decode()[:20], made.token[-43:]]
    assert not any(secret and secret in text for secret in secrets for text in shown)
