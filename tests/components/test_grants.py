import pytest

from eventstream import Filter, Grant, pack_grants, parse_grants, parse_scopes, unpack_grants


def rights(grants):
    return [(grant.right, grant.scope.key) for grant in grants]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, []),
        ({"publish": False, "subscribe": [], "crypto": False}, []),
        ({"publish": True}, [Grant("publish")]),
        ({"crypto": True}, [Grant("crypto")]),
        (
            {"publish": ["shop.*", "bank.x"]},
            [Grant("publish", Filter({"type": ["shop.*"]})), Grant("publish", Filter({"type": ["bank.x"]}))],
        ),
        (
            {"subscribe": [{"type": ["a", "b*"], "source": "/till/*", "subject": "x"}]},
            [Grant("subscribe", Filter({"type": ["a", "b*"], "source": ["/till/*"], "subject": ["x"]}))],
        ),
    ],
)
def test_grants(value, expected):
    grants = parse_grants(value)
    assert rights(grants) == rights(expected)
    assert rights(unpack_grants(pack_grants(grants))) == rights(expected)


@pytest.mark.parametrize(
    "value",
    [
        None, True, [], "publish", 1, {"admin": True}, {"Publish": True}, {"publish": None}, {"publish": 1},
        {"publish": "shop.*"}, {"publish": {"type": "shop.*"}}, {"publish": [True]}, {"publish": [None]},
        {"publish": [{}]}, {"publish": [[]]}, {"publish": [""]}, {"publish": [{"type": ""}]},
        {"publish": [{"type": None}]}, {"publish": [{"type": [""]}]}, {"publish": [{"type": []}]},
        {"publish": [{"data": "x"}]}, {"publish": [{"type": "a", "id": "x"}]}, {"publish": ["x"] * 101},
        {"publish": [{"type": [str(n) for n in range(101)]}]}, {"crypto": 1}, {"crypto": None}, {"crypto": "true"},
    ],
)  # fmt: skip
def test_what_is_not_understood_in_full_is_refused(value):
    with pytest.raises(ValueError, match=r"."):
        parse_grants(value)


def test_filters_of_dialects_are_packed_too():
    grants = [Grant("subscribe", Filter({"type": ["a"]}, [{"not": {"suffix": {"subject": "x"}}}]))]
    assert rights(unpack_grants(pack_grants(grants))) == rights(grants)


def test_scopes():
    assert [scope.key for scope in parse_scopes(True)] == [Filter().key]
    assert parse_scopes(False) == ()
