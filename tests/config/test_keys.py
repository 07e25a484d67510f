import pytest

from eventstream.errors import ConfigError

BASE = "version: 1\nstore: {disk: {path: x}}\noutputs: [sse]\npipelines: [{name: a, steps: [persist]}]\nkeys:\n"


KEY_32 = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
RAW = bytes(range(1, 33))
NEW, OLD = f"whsec_{KEY_32}", "whsec_" + "b2xk" * 8


def test_a_list_is_newest_first_and_each_key_has_an_id_of_its_own(load):
    text = BASE + '  a: {standard-webhooks: ["${env:NEW}", "${env:OLD}"]}\n'
    settings = load(text, {"NEW": NEW, "OLD": OLD})
    assert [(key.kid, key.owner, key.kind, key.private) for key in settings.keys] == [
        ("a", "a", "hmac", RAW),
        ("a-2", "a", "hmac", b"old" * 8),
    ]
    assert settings.warnings == []


@pytest.mark.parametrize(
    ("notation", "text", "kind", "public", "private"),
    [
        ("standard-webhooks", f"whsec_{KEY_32}", "hmac", b"", RAW),
        ("standard-webhooks", f"whpk_{KEY_32}", "ed25519", RAW, b""),
        ("ed25519", KEY_32, "ed25519", RAW, b""),
        ("curve25519", KEY_32.rstrip("="), "curve25519", RAW, b""),
        ("curve25519", KEY_32 + "\n", "curve25519", RAW, b""),
        ("secret", KEY_32.replace("+", "-").replace("/", "_"), "secret", b"", RAW),
        ("hmac", "AQIDBAUGBwgJCgsMDQ4PEA==", "hmac", b"", RAW[:16]),
        ("text", "a webhook's secret", "hmac", b"", b"a webhook's secret"),
        ("api-key", "sha256:" + RAW.hex(), "api-key", RAW, b""),
        ("api-key", RAW.hex().upper(), "api-key", RAW, b""),
        ("foreign", "as it stands", "foreign", b"", b"as it stands"),
    ],
)
def test_notations(load, notation, text, kind, public, private):
    (key,) = load(BASE + f'  a: {{{notation}: "${{env:K}}"}}\n', {"K": text}).keys
    assert (key.kid, key.owner, key.kind, key.public, key.private) == ("a", "a", kind, public, private)
    assert (key.purpose, key.state, key.accepted(0), key.in_use(2e9)) == ("", "active", True, True)


@pytest.mark.parametrize(
    ("notation", "text", "problem"),
    [
        ("standard-webhooks", KEY_32, "expected whsec_ or whpk_ and base64"),
        ("standard-webhooks", f"whsig_{KEY_32}", "expected whsec_ or whpk_ and base64"),
        ("standard-webhooks", f"whsk_{KEY_32}", "this is a private key (whsk_)"),
        ("standard-webhooks", "whsec_AQID", "a secret (whsec_) has 24 to 64 bytes, not 3"),
        ("standard-webhooks", "whpk_AQID", "an Ed25519 public key (whpk_) has 32 bytes, not 3"),
        ("standard-webhooks", "whsec_" + "!" * 44, "this is not base64"),
        ("ed25519", "AQID", "a key of kind ed25519 has 32 bytes, not 3"),
        ("curve25519", KEY_32 + KEY_32, "this is not base64"),
        ("secret", KEY_32[:-4], "a key of kind secret has 32 bytes, not"),
        ("hmac", "AQID", "a signing secret has at least 16 bytes, not 3"),
        ("api-key", "sha256:abc", "expected sha256: and 64 hexadecimal digits"),
    ],
)
def test_broken_texts_are_named_and_never_shown(load, notation, text, problem):
    with pytest.raises(ConfigError) as caught:
        load(BASE + f'  a: {{{notation}: "${{env:K}}"}}\n', {"K": text})
    assert f"key a: {problem}" in str(caught.value)
    assert text not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("text", "6:6 error key a: expected one kind and its text"),
        ("{}", "6:6 error key a: expected one kind and its text"),
        ("{secret: x, curve25519: y}", "6:6 error key a: expected one kind and its text"),
        ("{secret: []}", "6:15 error key a: an empty list"),
        ("{secret: 5}", "6:15 error key a: expected text"),
        ("{secret: ''}", "6:15 error key a: the text is empty"),
        ("{secret: [${env:E}, x]}".replace("${env:E}", "'${env:E}'"), "6:16 error key a: the text is empty"),
    ],
)
def test_what_is_wrong_with_a_key(problems, key, problem):
    assert problems(f"{BASE}  a: {key}\n", {"E": ""})[0] == problem


def test_a_secret_in_the_file_is_a_warning_and_a_public_key_is_not(load):
    lines = (
        f"standard-webhooks: whsec_{KEY_32}",
        f"standard-webhooks: whpk_{KEY_32}",
        f"secret: '${{env:X:-{KEY_32}}}'",
        f"curve25519: {KEY_32}",
        f"api-key: {RAW.hex()}",
        "text: in-the-open",
    )
    text = BASE + "".join(f"  k{number}: {{{line}}}\n" for number, line in enumerate(lines))
    assert [(one.line, one.message) for one in load(text).warnings] == [
        (6, "key k0 stands in the file"),
        (8, "key k2 stands in the file"),
        (11, "key k5 stands in the file"),
    ]


def test_an_unusual_kind_is_a_warning(load):
    (warning,) = load(BASE + '  a: {standard-webhook: "${env:K}"}\n', {"K": "k"}).warnings
    assert warning.hint == "did you mean standard-webhooks?"


def test_keys_are_hidden_wherever_they_turn_up(load):
    text = BASE + '  a: {secret: "${env:K}"}\n  b: {secret: inline-key}\nserver: {bind: hush-hush, hosts: 5}\n'
    text = text.replace("persist", "inline-key")
    with pytest.raises(ConfigError) as caught:
        load(text, {"K": "hush-hush"})
    assert "hush-hush" not in str(caught.value)
    assert "inline-key" not in str(caught.value)
