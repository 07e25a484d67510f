import json

import pytest

from eventstream.errors import FilterError
from eventstream.events.event import Event
from eventstream.events.filter import EVERYTHING, MAX_VALUES, Filter, parse_filter

EVENT = Event(
    id="1",
    source="/shop/berlin",
    type="shop.order.created",
    subject="order/7",
    extensions={"n": 42, "flag": True, "e": ""},
)
BARE = Event(id="2", source="/s", type="t")


def by(*expressions):
    return parse_filter({"filter": [json.dumps(one) for one in expressions]})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, True),
        ({"type": ["shop.order.created"]}, True),
        ({"type": ["shop.order"]}, False),
        ({"type": ["shop.order.*"]}, True),
        ({"type": ["shop.*", "x"]}, True),
        ({"type": ["*"]}, True),
        ({"type": ["x", "y"]}, False),
        ({"type": ["*.created"]}, False),
        ({"type": ["shop.*"], "source": ["/shop/*"], "subject": ["order/7"]}, True),
        ({"type": ["shop.*"], "source": ["/other"]}, False),
        ({"subject": ["order/*"]}, True),
        ({"type": ["SHOP.*"]}, False),
    ],
)
def test_patterns(query, expected):
    assert parse_filter(query).matches(EVENT) == expected


def test_an_attribute_that_is_not_set_matches_no_pattern():
    assert not parse_filter({"subject": ["*"]}).matches(BARE)
    assert not by({"prefix": {"subject": "a"}}).matches(BARE)
    assert by({"not": {"prefix": {"subject": "a"}}}).matches(BARE)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"exact": {"type": "shop.order.created"}}, True),
        ({"exact": {"type": "shop.order.created", "subject": "x"}}, False),
        ({"exact": {"n": "42"}}, True),
        ({"exact": {"flag": "true"}}, True),
        ({"exact": {"flag": "True"}}, False),
        ({"exact": {"specversion": "1.0"}}, True),
        ({"exact": {"type": "shop.*"}}, False),
        ({"prefix": {"type": "shop.", "source": "/shop"}}, True),
        ({"prefix": {"type": "order"}}, False),
        ({"suffix": {"type": ".created"}}, True),
        ({"suffix": {"type": ".deleted"}}, False),
        ({"suffix": {"n": "2"}}, True),
        ({"not": {"exact": {"type": "t"}}}, True),
        ({"all": [{"prefix": {"type": "shop"}}, {"suffix": {"subject": "7"}}]}, True),
        ({"all": [{"prefix": {"type": "shop"}}, {"suffix": {"subject": "8"}}]}, False),
        ({"any": [{"exact": {"type": "t"}}, {"suffix": {"subject": "7"}}]}, True),
        ({"any": [{"exact": {"type": "t"}}, {"exact": {"id": "9"}}]}, False),
        ({"not": {"any": [{"not": {"exact": {"id": "1"}}}, {"all": [{"exact": {"id": "2"}}]}]}}, True),
    ],
)
def test_the_six_dialects(expression, expected):
    assert by(expression).matches(EVENT) == expected


def test_all_filters_must_be_true_however_they_are_given():
    assert by({"exact": {"id": "1"}}, {"exact": {"n": "42"}}).matches(EVENT)
    assert not by({"exact": {"id": "1"}}, {"exact": {"n": "43"}}).matches(EVENT)
    assert not parse_filter({"filter": ['[{"exact": {"id": "1"}}, {"exact": {"n": "43"}}]']}).matches(EVENT)
    assert not parse_filter({"type": ["x"], "filter": ['{"exact": {"id": "1"}}']}).matches(EVENT)


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ("", "filter"),
        ("{", "filter"),
        ("5", "/filter/0"),
        ("null", "/filter/0"),
        ("{}", "/filter/0"),
        ('{"exact": {"type": "a"}, "prefix": {"type": "a"}}', "/filter/0"),
        ('{"exact": {"type": "a", "type": "b"}}', "filter"),
        ('{"sql": "TRUE"}', "/filter/0/sql"),
        ('{"exact": {}}', "/filter/0/exact"),
        ('{"exact": []}', "/filter/0/exact"),
        ('{"exact": {"type": ""}}', "/filter/0/exact/type"),
        ('{"exact": {"type": 1}}', "/filter/0/exact/type"),
        ('{"exact": {"Type": "a"}}', "/filter/0/exact"),
        ('{"exact": {"data": "a"}}', "/filter/0/exact"),
        ('{"all": []}', "/filter/0/all"),
        ('{"all": {}}', "/filter/0/all"),
        ('{"any": [{"exact": {"type": "a"}}, {"no": 1}]}', "/filter/0/any/1/no"),
        ('{"not": []}', "/filter/0/not"),
        ('[{"exact": {"type": "a"}}, {"not": {"nor": 1}}]', "/filter/1/not/nor"),
        ("[" * 10_000, "filter"),
    ],
)
def test_what_is_no_filter_is_refused_with_its_place(text, pointer):
    with pytest.raises(FilterError) as caught:
        parse_filter({"filter": [text]})
    assert caught.value.pointer == pointer


@pytest.mark.parametrize("name", ["type", "source", "subject"])
def test_empty_patterns_are_refused(name):
    with pytest.raises(FilterError, match=f"{name} must not be empty"):
        parse_filter({name: ["a", ""]})


def nested(levels):
    expression = {"exact": {"id": "1"}}
    for _ in range(levels - 1):
        expression = {"not": expression}
    return expression


def test_depth_is_bounded():
    by(nested(8))
    with pytest.raises(FilterError, match="nested deeper than 8"):
        by(nested(9))


def test_the_number_of_values_and_expressions_is_bounded():
    parse_filter({"type": [str(i) for i in range(MAX_VALUES)]})
    for query in (
        {"type": [str(i) for i in range(60)], "source": [str(i) for i in range(41)]},
        {"filter": [json.dumps([{"exact": {"id": str(i)}} for i in range(MAX_VALUES)])]},
        {"filter": [json.dumps({"any": [{"exact": {f"a{i}": "x" for i in range(101)}}]})]},
    ):
        with pytest.raises(FilterError, match="more than 100"):
            parse_filter(query)


def test_equal_filters_have_equal_keys_and_others_not():
    assert Filter({"type": ["a", "b"], "source": []}).key == Filter({"type": ["b", "a", "a"]}).key
    assert by({"exact": {"id": "1", "type": "a"}}).key == by({"exact": {"type": "a", "id": "1"}}).key
    assert len({EVERYTHING.key, by({"exact": {"id": "1"}}).key, by({"prefix": {"id": "1"}}).key}) == 3


@pytest.mark.parametrize(
    ("made", "attribute"),
    [
        (Filter({"type": ["a"], "subject": ["b*"]}), "subject"),
        (Filter({"type": ["a"], "source": ["b"]}), "source"),
        (Filter({"type": ["*"]}), None),
        (Filter({}, [{"prefix": {"type": "a"}}]), "type"),
        (Filter({}, [{"suffix": {"type": "a"}}]), None),
        (Filter({}, [{"not": {"exact": {"type": "a"}}}]), None),
        (EVERYTHING, None),
    ],
)
def test_the_index_is_a_condition_that_every_match_fulfils(made, attribute):
    assert (made.index.attribute if made.index else None) == attribute
    if made.index is not None and made.matches(EVENT):
        assert made.index.matches(EVENT.get(attribute))
