import pytest
from keyring_folder import MASTER, PATH, prepare

from eventstream.config.build import load_settings
from eventstream.config.keys import load_keyring
from eventstream.errors import ConfigError
from eventstream.hooks.catalogue import build_catalogue
from eventstream.hooks.manager import load_plugins
from eventstream.testing.keyring_contract import PUBLIC, make_key

BASE = """\
version: 1
store: {memory: {}}
keyring: KEYRING
pipelines: [{name: a, steps: [{verify: {keys: [shop]}}, persist, fan_out]}]
outputs: [sse]
server: {workers: 1}
"""
FILE = "{file: {path: keys/keyring.json, master_file: keys/master.key}}"


@pytest.fixture(scope="module")
def catalogue():
    return build_catalogue(load_plugins())


@pytest.fixture
def load(catalogue, tmp_path):
    def run(keyring=FILE, environ=None, base=BASE):
        text = base.replace("KEYRING", keyring)
        return load_settings(text, str(tmp_path / "p.yaml"), catalogue, environ or {})

    return run


@pytest.fixture
def told(load):
    def run(*arguments, **options):
        with pytest.raises(ConfigError) as caught:
            load(*arguments, **options)
        return [f"{one.line}:{one.column} {one.message}" for one in caught.value.problems]

    return run


def test_a_key_of_the_keyring_is_known_to_steps(load, tmp_path):
    prepare(tmp_path, [make_key("shop-1")])
    settings = load()
    assert settings.keyring.name == "file"
    assert settings.warnings == []
    assert settings.keys == ()


def test_a_key_that_may_come_is_a_warning(load, tmp_path):
    prepare(tmp_path, [make_key("till-1", owner="till")])
    (warning,) = load().warnings
    assert warning.message == "verify: there is no key shop yet"
    assert "keys of: till" in warning.hint


def test_a_key_of_the_wrong_kind_is_an_error(told, tmp_path):
    prepare(tmp_path, [make_key("shop-1", kind="curve25519", public=PUBLIC, private=b"")])
    assert told() == ["4:48 verify: key shop is of kind curve25519"]


def test_without_the_master_key_it_checks_with_a_warning(load, tmp_path):
    prepare(tmp_path, [make_key("shop-1")])
    (tmp_path / MASTER).unlink()
    (warning,) = load().warnings
    assert (warning.line, warning.pointer) == (3, "/keyring/file/master_file")
    assert "no server starts without it" in warning.message


@pytest.mark.parametrize(
    ("keyring", "problem"),
    [
        ("{files: {}}", "3:11 unknown keyring files"),
        ("[file]", "3:10 a keyring is a name, or one name with its options"),
        ("file", "3:10 keyring: needs either master_file or master"),
        ("{file: {master: a, master_file: b}}", "3:17 file: needs either master_file or master"),
        ("{file: {master: a, paht: b}}", "3:29 unknown field paht"),
        ("{file: {master: a, cache: soon}}", "3:36 cache: 'soon' is not a duration"),
        ("{file: {master: a, cache: 0s}}", "3:36 cache: must be greater than 0"),
        ("{file: {master: '${env:MASTER}'}}", "3:26 environment variable MASTER is not set"),
        ("{file: {master: too-short}}", "file: this is no master key"),
    ],
)
def test_what_is_wrong_with_the_section(told, keyring, problem):
    assert problem in told(keyring)[0]


@pytest.mark.parametrize("master_here", [True, False])
def test_what_is_wrong_with_the_file_stands_at_its_place(told, tmp_path, master_here):
    path = prepare(tmp_path, [make_key("shop-1")])
    path.write_bytes(path.read_bytes()[:100])
    if not master_here:
        (tmp_path / MASTER).unlink()
    (problem,) = [one for one in told() if "damaged" in one]
    assert problem.startswith("3:24" if master_here else "3:11")
    path.chmod(0o640)
    assert "others may open the keyring (mode 0640)" in str(told())


def test_a_faulty_keyring_makes_no_keys_unknown(told, tmp_path):
    path = prepare(tmp_path, [make_key("shop-1")])
    path.write_text("{")
    assert [one for one in told() if "verify" in one and "yet" not in one] == []


def test_the_master_key_is_not_shown(told, load, tmp_path):
    prepare(tmp_path, [make_key("shop-1")])
    master = (tmp_path / MASTER).read_text().strip()
    settings = load("{file: {master: '${env:MASTER}'}}", {"MASTER": master})
    assert master not in repr(settings)
    assert master not in repr(settings.keyring.config)
    assert master[:-4] not in str(told("{file: {master: '${env:MASTER}'}}", {"MASTER": master[:-4]}))


def test_for_its_command_only_its_section_is_judged(catalogue, tmp_path):
    prepare(tmp_path, [make_key("shop-1")])
    faulty = "keyring: KEYRING\nnonsense: ${env:NOWHERE}\nkeys: {a: {hmac: x}, a: 5}\n".replace("KEYRING", FILE)
    keyring, folder = load_keyring(faulty, str(tmp_path / "p.yaml"), catalogue, {})
    assert [key.kid for key in keyring.public_keys(folder)] == ["shop-1"]
    assert load_keyring("version: 1\n", str(tmp_path / "p.yaml"), catalogue, {})[0] is None
    assert load_keyring("- a\n", str(tmp_path / "p.yaml"), catalogue, {})[0] is None
    (tmp_path / PATH).write_text("{")
    with pytest.raises(ConfigError, match="1:"):
        load_keyring(faulty, str(tmp_path / "p.yaml"), catalogue, {})
