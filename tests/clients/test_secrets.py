"""Secrets that were planted stand in nothing that the server shows or keeps, after good use and bad."""

import base64
import gc
import json
import secrets
import types

import pytest
import yaml
from clients.planted import Planted, forms
from clients.secret_scene import Scene

from eventstream.config.build import load_settings
from eventstream.config.report import render_problems
from eventstream.errors import ConfigError
from eventstream.hooks.catalogue import build_catalogue
from eventstream.hooks.manager import load_plugins
from eventstream.testing.process import ServerProcess
from eventstream.testing.services import PlainServices


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    scene = Scene(tmp_path_factory.mktemp("secrets"))
    scene.make_keys()
    with scene.client, ServerProcess(scene.folder / "pipelines.yaml", environ=scene.environ) as scene.server:
        scene.use_well()
        scene.use_badly()
        scene.misuse_crypto()
        scene.ask_openly()
        scene.command()
        scene.reload()
        scene.publish("stored.more", {"text": scene.secret("data at rest, later")})
        scene.ask_openly()
        scene.files_while_it_runs = {file.name: file.read_bytes() for file in scene.files()}
    return scene


def test_the_search_finds_what_is_there(scene):
    planted = Planted()
    secret = secrets.token_bytes(32)
    planted.plant("it", secret)
    for text in (
        secret,
        secret.hex(),
        repr(secret),
        f"{secret!r}",
        base64.b64encode(b"ab" + secret + b"c"),
        base64.urlsafe_b64encode(b"x" + secret),
    ):
        assert planted.found(text) == {"it"}
    assert planted.found(secret[:-1]) == set()
    assert "API key" in scene.planted.found(scene.key)
    assert "HOOK" in scene.planted.found(scene.own[0].read_bytes() + scene.environ["HOOK"].encode())


def test_nothing_that_was_said_aloud_holds_a_secret(scene):
    assert len(scene.said) > 500
    assert {what: found for what, text in scene.said.items() if (found := scene.planted.found(text))} == {}


def test_no_file_holds_a_secret(scene):
    names = {file.name for file in scene.files()}
    assert {"events.db", "audit.log", "keyring.json", "backup.db", scene.server.log_file.name} <= names
    found = {file.name: scene.planted.found(file.read_bytes()) for file in scene.files()}
    found |= {f"{name}, while it ran": scene.planted.found(data) for name, data in scene.files_while_it_runs.items()}
    assert {name: what for name, what in found.items() if what} == {}


def test_the_log_says_enough_all_the_same(scene):
    log = scene.server.log()
    assert "Traceback" not in log
    assert "reload_refused" in log
    audit = [json.loads(line) for line in (scene.folder / "audit.log").read_text().splitlines()]
    assert {"refused", "published", "subscribed", "key_changed", "reloaded"} <= {line["event"] for line in audit}


# -- the configuration itself -----------------------------------------------------------------------


def places(value, path=()):
    """Every place in a document."""
    yield path
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(one, (*path, key))


def put(value, path, new):
    """The document with another value at a place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy


def test_no_problem_shows_a_value_from_outside(scene):
    catalogue = build_catalogue(load_plugins())
    file = str(scene.own[0])
    document = yaml.safe_load(scene.own[0].read_text())
    text = secrets.token_hex(20)
    found = []
    for path in places(document):
        changed = yaml.safe_dump(put(document, path, "${env:PLANTED}"))
        try:
            problems = load_settings(changed, file, catalogue, scene.environ | {"PLANTED": text}).warnings
        except ConfigError as error:
            problems = error.problems
        if any(form.decode() in render_problems(problems, "json") for form in forms(text.encode())):
            found.append(path)
    assert found == []


def test_nothing_that_python_prints_of_the_settings_holds_a_secret(scene):
    settings = load_settings(
        scene.own[0].read_text(), str(scene.own[0]), build_catalogue(load_plugins()), scene.environ
    )
    settings.keyring.open(PlainServices(scene.folder))
    try:
        kept = settings.keyring.keys()
        objects = list(reachable(settings))
        assert len(objects) > 100
        assert any(scene.planted.found(key.private) for key in kept), "there is something to find"
        found = {type(one).__qualname__: what for one in objects if (what := scene.planted.found(f"{one!r} {one}"))}
    finally:
        settings.keyring.close()
    assert found == {}


def reachable(root):
    """Every object of ours that is reachable from this one."""
    seen, waiting = {id(root)}, [root]
    while waiting:
        one = waiting.pop()
        if type(one).__module__.partition(".")[0] in ("eventstream", "eventstream_plugins"):
            yield one
        for other in gc.get_referents(one):
            if id(other) not in seen and not isinstance(other, (type, types.ModuleType, types.FunctionType)):
                seen.add(id(other))
                waiting.append(other)
