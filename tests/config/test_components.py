from typing import Annotated

import pluggy
import pytest

from eventstream import Config, ConfigError, Meta, Problem, Step, hookimpl
from eventstream.config.build import load_settings
from eventstream.hooks import specs
from eventstream.hooks.catalogue import build_catalogue


class Refuses(Step):
    """Refuse any configuration in its constructor."""

    name = "refuses"

    def __init__(self, config=None):
        super().__init__(config)
        raise ValueError("not today")


class WordsConfig(Config, frozen=True):
    """Options of `words`."""

    words: list[str] = []  # noqa: RUF012  # msgspec copies it


class Words(Step):
    """Report what the options say."""

    name = "words"
    Config = WordsConfig

    def check(self, folder, keys):
        for index, word in enumerate(self.config.words):
            if word == "raise":
                raise ConfigError([Problem("raised", pointer=f"/words/{index}")])
            if word == "inside":
                yield Problem("odd", pointer=f"/words/{index}", file="other.json", line=3, column=4)
            if word == "warn":
                yield Problem("careful", pointer=f"/words/{index}", severity="warning")
            if word == "deep":
                yield Problem("deeper", pointer=f"/words/{index}/not/in/the/file")


class Impossible(Step):
    """Declare what msgspec cannot use."""

    name = "impossible"
    Config = Annotated[dict[str, Annotated[str | None, Meta(min_length=1)]], Meta(description="x")]


class Trouble:
    """The plugin."""

    @hookimpl
    def eventstream_steps(self):
        return [Refuses, Words, Impossible]


@pytest.fixture
def problems(catalogue, tmp_path):
    manager = pluggy.PluginManager(specs.PROJECT)
    manager.add_hookspecs(specs)
    manager.register(Trouble(), "trouble")
    offers = build_catalogue(manager)
    offers.offers |= {kind: catalogue.offers[kind] for kind in ("store", "output")}

    def run(step):
        head = "version: 1\nstore: {disk: {path: x}}\noutputs: [sse]\npipelines:\n- name: a\n  steps:\n"
        text = f"{head}  - {step}\n"
        try:
            found = load_settings(text, str(tmp_path / "p.yaml"), offers, {}).warnings
        except ConfigError as error:
            found = error.problems
        return [f"{one.column} {one.severity} {one.message}" for one in found if one.line == 7]

    return run


def test_a_constructor_that_refuses_is_placed(problems):
    assert problems("refuses") == ["5 error refuses: not today"]


def test_what_check_returns_is_placed_inside_the_options(problems):
    assert problems("words: {words: [a, raise]}") == ["24 error words: raised"]
    assert problems("words: {words: [a, deep]}") == ["24 error words: deeper"]
    assert problems("words: {words: [inside]}") == ["21 error words: other.json:3:4: odd"]
    assert problems("words: {words: [a, warn]}") == ["24 warning words: careful"]


def test_a_config_that_msgspec_refuses_names_its_plugin(problems):
    (problem,) = problems("impossible: {a: b}")
    assert problem.startswith("17 error impossible, from trouble, declares a Config that cannot be used")
