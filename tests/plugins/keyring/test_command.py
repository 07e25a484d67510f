"""`eventstream keys …`, run in this process or in one of its own."""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from keyring_folder import MASTER, PATH

from eventstream.cli.main import main

CONFIG = """
version: 1
store: {memory: {}}
keys: {shop: {standard-webhooks: "${env:NOT_SET_HERE}"}}
keyring: {file: {path: keys/keyring.json, master_file: keys/master.key}}
pipelines: [{name: default, steps: [persist, fan_out, nonsense]}]
"""
WHPK = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
WHSK = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
LATER = "2099-01-31T12:00:00Z"


@pytest.fixture
def keys(tmp_path, monkeypatch, capsys):
    """Run `eventstream keys …` in tmp_path; `stdin` is what it reads."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipelines.yaml").write_text(CONFIG)

    def run(*words, stdin="", status=0):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        found = main(["keys", *words])
        out, err = capsys.readouterr()
        assert found == status, out + err
        return SimpleNamespace(out=out, err=err, json=json.loads(out) if "--json" in words and not found else None)

    return run


@pytest.fixture
def ready(keys):
    keys("master")
    return keys


def test_a_master_key_is_made_once(keys, tmp_path):
    told = keys("master").err
    assert "keys/master.key is a new master key" in told
    text = (tmp_path / MASTER).read_text().strip()
    assert text not in told
    assert (tmp_path / MASTER).stat().st_mode & 0o777 == 0o600
    assert "never written over" in keys("master", status=1).err
    assert len(keys("master", "-").out.strip()) == len(text)
    assert (tmp_path / MASTER).read_text().strip() == text


@pytest.mark.parametrize("kind", ["ed25519", "curve25519", "secret", "hmac"])
def test_new_list_show(ready, kind):
    made = ready("new", kind, "--owner", "till 4", "--purpose", "sign", "--expires", LATER, "--json").json
    assert re.fullmatch(r"till-4-\d{8}-[a-z2-7]{6}", made["kid"])
    assert (made["owner"], made["kind"], made["purpose"], made["expires"]) == ("till 4", kind, "sign", LATER)
    assert ready("list", "--json").json == [made] == [ready("show", made["kid"], "--json").json]
    assert made["kid"] in ready("list").out
    assert re.search(r"state +active", ready("show", made["kid"]).out)


def test_an_api_key_is_shown_once_and_kept_as_a_hash(ready, tmp_path):
    out = ready("new", "api-key", "--owner", "ops", "--kid", "ops.1:a")
    (token,) = re.findall(r"^esk_.*$", out.out, re.MULTILINE)
    assert re.fullmatch(r"esk_ops\.1:a_[A-Za-z0-9_-]{43}", token)
    assert "shown only now" in out.err
    digest = "sha256:" + hashlib.sha256(token.encode()).hexdigest()
    assert ready("show", "ops.1:a", "--json").json["public"] == digest == ready("export", "ops.1:a").out.strip()
    secret = token[-43:]
    for shown in (ready("list").out, ready("show", "ops.1:a").out, (tmp_path / PATH).read_text()):
        assert secret not in shown
    assert "not here" in ready("export", "ops.1:a", "--private", status=1).err
    again = ready("rotate", "ops", "--json").json
    assert again["new"][0]["key"].startswith("esk_ops-")
    assert [one["kid"] for one in again["retiring"]] == ["ops.1:a"]


def test_times(ready):
    made = ready("new", "hmac", "--owner", "a", "--not-before", "2098-01-01", "--expires", LATER, "--json").json
    assert (made["not_before"], made["lapse"]) == ("2098-01-01T00:00:00Z", "not_yet_valid")
    assert "not yet valid" in ready("list").out
    past = ready("new", "hmac", "--owner", "a", "--expires", "2001-01-01", "--json").json
    assert past["lapse"] == "expired"
    assert "no time such as" in ready("new", "hmac", "--owner", "a", "--expires", "soon", status=1).err
    wrong = ready("new", "hmac", "--owner", "a", "--not-before", LATER, "--expires", "1d", status=1).err
    assert "would expire before it becomes valid" in wrong


def test_rotation_overlaps_and_keeps_the_lifetime(ready):
    first = ready("new", "ed25519", "--owner", "server", "--purpose", "sign", "--expires", "90d", "--json").json
    ready("new", "hmac", "--owner", "server")
    found = ready("rotate", "server", "--kind", "ed25519", "--overlap", "2h", "--json").json
    (new,), (old,) = found["new"], found["retiring"]
    assert (new["kind"], new["purpose"], new["state"], old["kid"], old["state"]) == (
        "ed25519", "sign", "active", first["kid"], "retiring",
    )  # fmt: skip
    assert abs(_days(new["expires"]) - _days(first["expires"])) < 0.01
    assert _days(old["expires"]) - _days(new["created"]) == pytest.approx(2 / 24, abs=0.001)
    assert [one["state"] for one in ready("list", "--json").json] == ["active", "active", "retiring"]


def _days(text):
    from datetime import datetime  # noqa: PLC0415  # only here

    return datetime.fromisoformat(text).timestamp() / 86400


def test_a_key_at_rest_retires_without_an_end(ready):
    ready("new", "secret", "--owner", "vault", "--purpose", "at-rest")
    assert ready("rotate", "vault", "--json").json["retiring"][0]["expires"] is None
    assert ready("rotate", "vault", "--overlap", "1h", "--json").json["retiring"][0]["expires"] is not None


def test_what_cannot_be_rotated(ready):
    assert "no active key" in ready("rotate", "nobody", status=1).err
    ready("import", "--owner", "shop", stdin=WHPK)
    assert "imported without its private half" in ready("rotate", "shop", status=1).err
    assert len(ready("list", "--json").json) == 1


def test_import_and_export(ready, tmp_path):
    (tmp_path / "key").write_text(WHSK)
    (taken,) = ready("import", "key", "--owner", "shop", "--kid", "k", "--purpose", "verify", "--json").json
    assert (taken["kid"], taken["kind"], taken["public"]) == ("k", "ed25519", WHPK)
    assert ready("export", "k", "--format", "webhook").out.strip() == WHPK
    jwk = json.loads(ready("export", "k").out)
    assert sorted(jwk) == ["crv", "kid", "kty", "use", "x"]
    told = ready("export", "k", "--format", "webhook", "--private")
    assert told.out.strip() == WHSK
    assert "whoever has it is shop" in told.err
    assert "d" in json.loads(json.loads(ready("export", "k", "--private", "--json").out)["key"])
    assert "already, as k of shop" in ready("import", "--owner", "thief", stdin=json.dumps(jwk), status=1).err


@pytest.mark.parametrize(
    ("text", "words", "told"),
    [
        ("A" * 43, ("--kind", "ed25519"), "is all zero"),
        ("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", ("--kind", "curve25519"), "low order"),
        ("7f///////////////////////////////////////38=", ("--kind", "ed25519"), "canonical"),
        (WHPK[5:-8], ("--kind", "ed25519"), "32 bytes, not"),
        (json.dumps({"kty": "OKP", "crv": "Ed25519", "x": WHPK[5:], "d": WHSK[5:48]}), (), "not base64"),
        (json.dumps({"kty": "OKP", "crv": "Ed25519", "x": WHPK[5:], "d": "A" * 42 + "E"}), (), "mismatched pair"),
        ("x" * 70_000, ("--kind", "hmac"), "longer than 65536"),
    ],
)
def test_broken_keys_are_refused_precisely_and_not_shown(ready, text, words, told):
    err = ready("import", "--owner", "a", *words, stdin=text, status=1).err
    assert told in err
    assert text[:30] not in err
    assert ready("list", "--json").json == []


def test_revocation_is_for_good_and_of_all_or_none(ready):
    for kid in ("a", "b"):
        ready("new", "hmac", "--owner", "shop", "--kid", kid)
    assert "there is no key c" in ready("revoke", "a", "c", status=1).err
    assert {one["state"] for one in ready("list", "--json").json} == {"active"}
    assert {one["state"] for one in ready("revoke", "a", "b", "--json").json} == {"revoked"}
    assert "no active key" in ready("rotate", "shop", status=1).err


def test_without_the_master_key_the_list_is_readable_and_nothing_else(ready, tmp_path):
    kid = ready("new", "ed25519", "--owner", "a", "--json").json["kid"]
    (tmp_path / MASTER).unlink()
    assert kid in ready("list").out
    assert kid in ready("show", kid).out
    assert kid in ready("export", kid).out
    for words in (("new", "hmac", "--owner", "a"), ("revoke", kid), ("export", kid, "--private")):
        assert "the master key file does not exist" in ready(*words, status=1).err


def test_the_nearest_key_is_named(ready):
    ready("new", "hmac", "--owner", "shop", "--kid", "shop-main")
    assert "did you mean shop-main?" in ready("show", "shop-mian", status=1).err
    assert "did you mean shop-main?" in ready("show", "shop", status=1).err


def test_a_configuration_without_a_keyring(keys, tmp_path):
    (tmp_path / "pipelines.yaml").write_text("version: 1\n")
    told = keys("list", status=1).err
    assert "there is no section keyring" in told
    assert "for example" in told
    (tmp_path / "pipelines.yaml").write_text("version: 1\nkeyring: {files: {}}\n")
    assert "pipelines.yaml:2:11: error: unknown keyring files (did you mean file?)" in keys("list", status=1).err


def test_wrong_usage(keys):
    for words in ((), ("new", "rsa", "--owner", "a"), ("new", "hmac"), ("show",), ("import", "--key", WHSK)):
        with pytest.raises(SystemExit) as caught:
            keys(*words)
        assert caught.value.code == 2


def test_no_secret_is_taken_from_or_shown_to_the_process_list(tmp_path):
    (tmp_path / "pipelines.yaml").write_text(CONFIG.replace("master_file: keys/master.key", 'master: "${env:MASTER}"'))
    environ = {"PATH": os.environ["PATH"], "MASTER": "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="}

    def run(*words, text=None):
        command = [sys.executable, "-W", "error", "-m", "eventstream", "keys", *words]
        return subprocess.run(
            command, cwd=tmp_path, env=environ, input=text, capture_output=True, text=True, timeout=60, check=True
        )

    taken = run("import", "--owner", "shop", text=WHSK)
    listed = run("list")
    everything = taken.stdout + taken.stderr + listed.stdout + listed.stderr + (tmp_path / PATH).read_text()
    assert "shop-" in listed.stdout
    for secret in (WHSK[5:40], environ["MASTER"]):
        assert secret not in everything
