import json
from importlib.metadata import entry_points
from pathlib import Path

import jsonschema
import pluggy
import pytest
import yaml

from eventstream.config.schema import file_schema, render
from eventstream.hooks import specs
from eventstream.hooks.catalogue import build_catalogue

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "schemas" / "pipelines.schema.json"


@pytest.fixture(scope="module")
def built_in():
    """Return what this distribution offers, without what else is installed."""
    manager = pluggy.PluginManager(specs.PROJECT)
    manager.add_hookspecs(specs)
    for entry_point in entry_points(group=specs.PROJECT):
        if entry_point.dist is not None and entry_point.dist.name == "eventstream":
            manager.register(entry_point.load(), entry_point.name)
    return build_catalogue(manager)


def test_the_shipped_schema_is_what_the_declarations_say(built_in):
    assert SHIPPED.read_text() == render(file_schema(built_in)), (
        "run: eventstream schema > schemas/pipelines.schema.json"
    )


def test_the_shipped_configuration_fits_the_shipped_schema():
    schema = json.loads(SHIPPED.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load((ROOT / "pipelines.yaml").read_text()), schema)


def test_every_example_of_every_component_fits(built_in):
    judge = jsonschema.Draft202012Validator(file_schema(built_in)).is_valid
    store = {"memory": None}
    for name, offer in built_in.offers["step"].items():
        for example in offer.component.examples:
            value = {"version": 1, "store": store, "pipelines": [{"name": "a", "steps": [{name: example}]}]}
            assert judge(value), (name, example)


@pytest.fixture(scope="module")
def judge(catalogue):
    return jsonschema.Draft202012Validator(file_schema(catalogue)).is_valid


BASE = {"version": 1, "store": {"disk": {"path": "x"}}, "pipelines": [{"name": "a", "steps": ["persist"]}]}


def steps(*entries):
    return {"pipelines": [{"name": "a", "steps": list(entries)}]}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"outputs": ["sse", {"sse": {"path": "/x"}}, {"sse": None}]},
        steps({"limit": {"rate": "1/s", "on_error": "reject"}}, {"validate": {"on_error": "drop"}}, "fan_out"),
        {"store": {"memory": None, "keep": {"age": "7d"}}},
        {"server": {"workers": "${env:W}", "public": "anyone may publish and subscribe"}},
        {"keys": {"a": {"secret": ["x", "y"]}, "b": {"some-plugins-own": 5}}},
    ],
)
def test_the_schema_takes_what_check_takes(judge, change):
    assert judge(BASE | change)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"outputs": ["nope"]},
        steps("limit"),
        steps({"limit": {"rate": "1/s", "on_error": "drop"}}),
        steps({"validate": {"on_error": "dead_letter"}}),
        steps({"persist": {"on_error": "drop"}}),
        steps({"validate": {}, "persist": {}}),
        {"store": {}},
        {"store": {"memory": None, "disk": {"path": "x"}}},
        {"server": {"workers": 0}},
        {"server": {"public": "yes"}},
        {"pipelines": []},
        {"servr": {}},
    ],
)
def test_the_schema_refuses_what_check_refuses(judge, change):
    assert not judge(BASE | change)


def test_the_text_is_the_same_each_time(catalogue):
    assert render(file_schema(catalogue)) == render(file_schema(catalogue))
