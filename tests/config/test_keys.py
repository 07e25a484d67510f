import pytest

from eventstream.errors import ConfigError

BASE = "version: 1\nstore: {disk: {path: x}}\noutputs: [sse]\npipelines: [{name: a, steps: [persist]}]\nkeys:\n"


def test_kinds_and_rotation(load):
    settings = load(BASE + '  a: {standard-webhooks: ["${env:NEW}", "${env:OLD}"]}\n  b: {curve25519: abc}\n', {
        "NEW": "whsec_new", "OLD": "whsec_old",
    })  # fmt: skip
    assert settings.keys["a"].texts == ("whsec_new", "whsec_old")
    assert settings.keys["b"].kind == "curve25519"
    assert settings.warnings == []


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
    inline = "  a: {standard-webhooks: whsec_x}\n  b: {standard-webhooks: whpk_x}\n  c: {secret: '${env:X:-default}'}\n"
    assert [(one.line, one.message) for one in load(BASE + inline).warnings] == [
        (6, "key a stands in the file"),
        (8, "key c stands in the file"),
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
