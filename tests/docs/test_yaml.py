"""Every YAML block of the documentation passes `check`; fragments are put into a whole file first.

The info string says what a block is: nothing (sections of a configuration), `step` (a list of steps),
`output`, `route` or `authenticator` (a list of those), or `foreign` (another program's file).
"""

import json
import os
import shutil

import pytest
import yaml
from docs.markdown import PAGES, ROOT, blocks

from eventstream.config.build import load_settings
from eventstream.errors import ConfigError
from eventstream.hooks.catalogue import build_catalogue
from eventstream.hooks.manager import load_plugins

KEY_32 = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
PUBLIC = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="  # RFC 7748 section 6.1: Bob's
SIGNING = f"whsec_{KEY_32}"
# RFC 8037 appendix A.2
JWK = {"kty": "OKP", "crv": "Ed25519", "kid": "idp-1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
KEYS = {
    "idp": {"standard-webhooks": f"whpk_{PUBLIC}"},
    "shop": {"standard-webhooks": "${env:SHOP_KEY}"},
    "till": {"standard-webhooks": "${env:SHOP_KEY}"},
    "warehouse": {"curve25519": PUBLIC},
    "audit": {"curve25519": PUBLIC},
    "meter": {"ed25519": PUBLIC},
    "archive": {"secret": "${env:SECRET}"},
}
KEYRING = {"file": {"path": "keys/keyring.json", "master_file": "keys/master.key"}}
BASE = {
    "version": 1,
    "store": {"sqlite": {"path": "data/events.db"}},
    "pipelines": [{"name": "default", "steps": ["persist", "fan_out"]}],
    "outputs": ["sse"],
}
BLOCKS = [block for page in PAGES for block in blocks(page, "yaml") if block.info != "foreign"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "schemas", folder / "schemas")
    for name in ("order.json", "shop.order.created.json"):
        shutil.copy(folder / "schemas" / "shop.order.json", folder / "schemas" / name)
    shutil.copytree(folder / "schemas", folder / "contracts")
    for block in (block for page in PAGES for block in blocks(page, "json")):
        if block.directive.startswith("file: "):
            (folder / block.directive.removeprefix("file: ")).write_text(block.text)
    (folder / "keys").mkdir()
    (folder / "keys" / "warehouse.pub").write_text(PUBLIC)
    (folder / "keys" / "idp.jwks.json").write_text(json.dumps({"keys": [JWK]}))
    (folder / "tls").mkdir()
    for name in ("fullchain.pem", "privkey.pem"):
        (folder / "tls" / name).write_text("")
    return folder


@pytest.fixture(scope="module")
def catalogue():
    return build_catalogue(load_plugins())


def whole(block):
    """Return the block as a whole configuration."""
    value = yaml.safe_load(block.text)
    if block.info == "step":
        marks = [] if _marks(value) else ["persist", "fan_out"]
        return BASE | {
            "keys": KEYS,
            "keyring": KEYRING,
            "pipelines": [{"name": "docs", "steps": [*_before(value), *value, *marks]}],
        }
    if block.info == "output":
        return BASE | {"outputs": value}
    if block.info == "route":
        return BASE | {"routes": value}
    if block.info == "authenticator":
        return BASE | {"keys": KEYS, "auth": {"chain": value}}
    merged = BASE | value
    return merged if "keys" in merged else merged | {"keys": KEYS}


def _names(steps):
    return [step if isinstance(step, str) else next(iter(step)) for step in steps]


def _marks(steps):
    return {"persist", "fan_out"} & set(_names(steps))


def _before(steps):
    by_key = any(isinstance(step, dict) and (step.get("limit") or {}).get("by") == "key" for step in steps)
    return [{"verify": {"keys": ["shop"]}}] if by_key and "verify" not in _names(steps) else []


def test_there_are_blocks():
    assert len(BLOCKS) > 20


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_blocks_pass_check(block, folder, catalogue):
    config = whole(block)
    workers = config.get("server", {}).get("workers", 2)
    if "memory" in config["store"] and workers > 1:
        config |= {"server": config.get("server", {}) | {"workers": 1}}
    names = {"SHOP_KEY", "OLD_SHOP_KEY", "TILL_KEY", "OLD_TILL_KEY", "FORGE_KEY"}
    environ = (
        os.environ
        | dict.fromkeys(names, SIGNING)
        | {"SECRET": KEY_32, "ARCHIVE_KEY": KEY_32, "EVENTSTREAM_MASTER_KEY": KEY_32}
    )
    try:
        load_settings(yaml.safe_dump(config), str(folder / "pipelines.yaml"), catalogue, environ)
    except ConfigError as error:
        pytest.fail(f"{block.place}:\n{error}")
