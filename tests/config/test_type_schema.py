from typing import Annotated, Literal

import jsonschema
import pytest

from eventstream import Config, Duration, Meta, Rate, Size
from eventstream.config.model import Bind
from eventstream.config.type_schema import INTERPOLATION, schema_of, takes_nothing, value_schema


class Inner(Config, frozen=True):
    size: Size = Size(1024)


class Holder(Config, frozen=True):
    rate: Annotated[Rate, Meta(description="How fast.", examples=["1/s"])]
    bind: Bind = Bind("127.0.0.1:1")
    inner: Annotated[Inner, Meta(description="Inside.")] = Inner()
    word: Literal["a", "b"] = "a"
    names: Annotated[list[str], Meta(min_length=1, max_length=2)] = []  # noqa: RUF012  # msgspec copies it
    table: dict[Annotated[str, Meta(pattern="^x")], int | Inner] | None = None
    wait: Duration = Duration(0.25)


class Looped(Config, frozen=True):
    again: "Looped | None" = None


@pytest.fixture(scope="module")
def judge():
    schema = schema_of(Holder) | {"$defs": {"interpolation": {"type": "string", "pattern": INTERPOLATION}}}
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema).is_valid


@pytest.mark.parametrize(
    "value",
    [
        {"rate": "5/m"},
        {"rate": 5},
        {"rate": "${env:RATE:-5/s}", "word": "${env:W}", "bind": "${env:H}:${env:P}"},
        {"rate": 1, "inner": {"size": "1MiB"}, "word": "b", "names": ["n"], "table": {"x1": 4, "x2": {"size": 5}}},
        {"rate": 1, "table": None, "wait": "15s"},
    ],
)
def test_right_values(judge, value):
    assert judge(value)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"rate": "fast"},
        {"rate": 1, "word": "c"},
        {"rate": 1, "bind": "nowhere"},
        {"rate": 1, "names": []},
        {"rate": 1, "names": ["a", "b", "c"]},
        {"rate": 1, "names": "${env:N}"},
        {"rate": 1, "table": {"y": 1}},
        {"rate": 1, "inner": {"size": -1}},
        {"rate": 1, "odd": 1},
        {"rate": 1, "wait": "15 parsecs"},
    ],
)
def test_wrong_values(judge, value):
    assert not judge(value)


def test_words_and_defaults_stand_where_editors_read_them():
    properties = schema_of(Holder)["properties"]
    assert (properties["rate"]["description"], properties["rate"]["examples"]) == ("How fast.", ["1/s"])
    assert properties["inner"]["description"] == "Inside."
    assert properties["inner"]["properties"]["size"]["default"] == "1KiB"
    assert (properties["wait"]["default"], properties["bind"]["default"]) == ("250ms", "127.0.0.1:1")
    assert schema_of(Holder)["required"] == ["rate"]


def test_free_text_needs_no_second_form():
    assert value_schema(str) == {"type": "string"}
    assert "interpolation" not in str(value_schema(str | int))


def test_a_type_that_holds_itself_ends():
    assert schema_of(Looped)["properties"]["again"] == {"anyOf": [{}, {"type": "null"}]}


def test_what_may_stand_bare():
    assert takes_nothing(Inner)
    assert not takes_nothing(Holder)
    assert not takes_nothing(Annotated[dict[str, str], Meta(min_length=1)])
