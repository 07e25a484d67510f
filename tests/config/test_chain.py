import jsonschema
import pytest

from eventstream.components.chain import Chain
from eventstream.config.schema import file_schema
from eventstream.hooks.catalogue import build_catalogue
from eventstream.hooks.manager import load_plugins

REST = "pipelines: [{name: a, steps: [persist, fan_out]}]\noutputs: [sse]\n"
TEXT = f"version: 1\nstore:\n  disk: {{path: x}}\n  chain: %s\n{REST}"


@pytest.fixture
def chaining(catalogue, monkeypatch):
    monkeypatch.setattr(catalogue.offers["store"]["disk"].component, "can_chain", True)


def test_without_the_option_nothing_is_chained(load):
    settings = load(TEXT.replace("  chain: %s\n", ""))
    assert settings.chain is None
    assert settings.store.chained is False


@pytest.mark.parametrize(
    ("written", "chain"),
    [
        ("", Chain()),
        ("{}", Chain()),
        ("{events: 5}", Chain(events=5, every=300)),
        ("{every: 90s}", Chain(events=10_000, every=90)),
    ],
)
def test_the_option_reaches_store_and_settings(load, chaining, written, chain):
    settings = load(TEXT % written)
    assert settings.chain == chain
    assert settings.store.chained is True


def test_a_store_that_offers_none_refuses_it(problems):
    assert problems(TEXT % "{events: 5}") == ["4:3 error store disk keeps no hash chain"]
    small = f"version: 1\nserver: {{workers: 1}}\nstore:\n  memory:\n  chain: {{}}\n{REST}"
    assert problems(small) == ["5:3 error store memory keeps no hash chain"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{events: 0}", "4:19 error events: expected a whole number >= 1"),
        ("{every: 0s}", "4:18 error every: must be 1s or longer"),
        ("{every: soon}", "4:18 error every: 'soon' is not a duration such as 250ms, 15s, 5m, 1h or 7d"),
        ("{each: 5}", "4:11 error unknown field each"),
        ("true", "4:10 error chain: expected a mapping, got true or false"),
    ],
)
def test_wrong_values_are_placed(problems, chaining, written, expected):
    assert problems(TEXT % written) == [expected]


def test_the_schema_knows_it():
    judge = jsonschema.Draft202012Validator(file_schema(build_catalogue(load_plugins()))).is_valid
    rest = {"version": 1, "pipelines": [{"name": "a", "steps": ["persist"]}]}
    assert judge(rest | {"store": {"sqlite": {}, "chain": {"events": 5, "every": "5m"}}})
    assert not judge(rest | {"store": {"sqlite": {}, "chain": {"events": 0}}})
    assert not judge(rest | {"store": {"chain": {}}})
