"""`store.at_rest`, and what stands behind a step that has to be last; with the installed plugins."""

import base64

import pytest

from eventstream.config.build import load_settings
from eventstream.config.schema import file_schema
from eventstream.errors import ConfigError
from eventstream.testing.step_runner import installed

KEY = base64.b64encode(bytes(range(32))).decode()
CONFIG = """\
version: 1
store:
  memory: {}
  at_rest: %s
keys:
  disk: {secret: "${env:KEY}"}
  reader: {curve25519: "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="}
server: {workers: 1}
pipelines:
  - name: a
    steps: %s
outputs: [sse]
"""
KEYRING = "keyring: {file: {master: '${env:KEY}'}}\n"


def load(tmp_path, at_rest="{key: disk}", steps="[persist, fan_out]", more=""):
    file = str(tmp_path / "pipelines.yaml")
    return load_settings(CONFIG % (at_rest, steps) + more, file, installed(), {"KEY": KEY})


def test_the_cipher_is_built_with_its_default(tmp_path):
    at_rest = load(tmp_path).at_rest
    assert at_rest.key == "disk"
    assert at_rest.cipher.name == "xchacha20poly1305"


@pytest.mark.parametrize(
    ("at_rest", "column", "words"),
    [
        ("{key: nobody}", 18, "no key nobody"),
        ("{key: reader}", 18, "kind curve25519"),
        ("{key: disk, cipher: rot13}", 23, "unknown cipher rot13"),
        ("{key: disk, cypher: x}", 24, "unknown field cypher"),
        ("{key: [disk]}", 18, "key: expected text"),
        ("{}", 3, "field key is missing"),
        ("", 3, "field key is missing"),
        ("on", 12, "expected a mapping"),
    ],
)
def test_faults_have_their_place(tmp_path, at_rest, column, words):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, at_rest)
    (problem,) = [one for one in caught.value.problems if one.severity == "error"]
    assert words in problem.message
    assert problem.line == 4
    assert KEY not in str(caught.value)


def test_a_key_may_still_come_into_the_keyring(tmp_path):
    settings = load(tmp_path, "{key: later}", more=KEYRING)
    (warning,) = [one for one in settings.warnings if one.line == 4]
    assert "no key later yet" in warning.message
    assert "keys new secret --owner later" in warning.hint


def test_the_schema_knows_it():
    store = file_schema(installed())["properties"]["store"]
    assert store["properties"]["at_rest"]["required"] == ["key"]


@pytest.mark.parametrize(
    ("steps", "warned"),
    [
        ("[{sign: {key: server}}, {limit: {rate: 1/s}}, persist, fan_out]", ["limit"]),
        ("[{sign: {key: server}}, {encrypt: {to: [reader]}}, persist, fan_out]", ["encrypt"]),
        ("[{encrypt: {to: [reader]}}, {sign: {key: server}}, persist, fan_out]", []),
    ],
)
def test_what_stands_behind_sign_is_a_warning(tmp_path, steps, warned):
    found = [one.message for one in load(tmp_path, steps=steps, more=KEYRING).warnings if "behind sign" in one.message]
    assert [message.split()[0] for message in found] == warned


def test_set_behind_encrypt_is_a_warning(tmp_path):
    for name, warned in (("subject", True), ("region", False)):
        steps = f"[{{encrypt: {{to: [reader]}}}}, {{set: {{{name}: x}}}}, persist]"
        found = [one for one in load(tmp_path, steps=steps).warnings if "will not open" in one.message]
        assert bool(found) == warned
