"""Whether patterns cover a filter: by hand, and held against every event of a small world."""

import itertools
import random

import pytest

from eventstream.events.cover import MAX_COMBINATIONS, covers, in_words
from eventstream.events.filter import EVERYTHING, Filter

VALUES = ["a", "ab", "abc", "b", "ba"]
PATTERNS = [*VALUES, "*", "a*", "ab*", "b*"]


class Attributes(dict):
    """An event as filters see it."""


WORLD = [
    Attributes({"type": type, "source": source} | ({"subject": subject} if subject else {}))
    for type, source, subject in itertools.product(VALUES, VALUES, [None, *VALUES])
]


@pytest.mark.parametrize(
    ("scopes", "wanted", "verdict"),
    [
        ([], {}, False),
        ([], {"type": ["a"]}, False),
        ([{}], {}, True),
        ([{"type": ["shop.*"]}], {}, False),
        ([{"type": ["shop.*"]}], {"type": ["shop.order"]}, True),
        ([{"type": ["shop.*"]}], {"type": ["shop.*"]}, True),
        ([{"type": ["shop.*"]}], {"type": ["sho*"]}, False),
        ([{"type": ["shop.*"]}], {"type": ["shop.a", "bank.a"]}, False),
        ([{"type": ["shop.*"]}, {"type": ["bank.*"]}], {"type": ["shop.a", "bank.a"]}, True),
        # One scope for each combination: none allows the type of the one with the source of the other.
        ([{"type": ["a"], "source": ["s"]}, {"type": ["b"], "source": ["t"]}], {"type": ["a", "b"]}, False),
        (
            [{"type": ["a"], "source": ["s"]}, {"type": ["b"], "source": ["t"]}],
            {"type": ["a", "b"], "source": ["s", "t"]},
            False,
        ),
        (
            [{"type": ["a"], "source": ["s", "t"]}, {"type": ["b"], "source": ["*"]}],
            {"type": ["a", "b"], "source": ["s", "t"]},
            True,
        ),
        ([{"type": ["*"]}], {}, True),  # every event has a type
        ([{"subject": ["*"]}], {}, False),  # not every event has a subject
        ([{"subject": ["*"]}], {"subject": ["7"]}, True),
    ],
)
def test_patterns(scopes, wanted, verdict):
    assert covers([Filter(scope) for scope in scopes], Filter(wanted)) is verdict


@pytest.mark.parametrize(
    ("expressions", "verdict"),
    [
        ([{"exact": {"type": "shop.a"}}], True),
        ([{"prefix": {"type": "shop.a"}}], True),
        ([{"prefix": {"type": "sh"}}], False),
        ([{"exact": {"type": "shop.a", "source": "/x"}}, {"suffix": {"source": "x"}}], True),
        ([{"prefix": {"type": "sh"}}, {"exact": {"type": "shop.a"}}], True),  # both hold, so the second does
        ([{"any": [{"exact": {"type": "shop.a"}}]}], False),  # in doubt: no
        ([{"not": {"exact": {"type": "bank"}}}], False),
    ],
)
def test_top_level_expressions_count(expressions, verdict):
    assert covers([Filter({"type": ["shop.*"]})], Filter({}, expressions)) is verdict


def test_a_scope_that_patterns_do_not_say_in_full_covers_nothing():
    scope = Filter({"type": ["shop.*"]}, [{"not": {"exact": {"source": "/x"}}}])
    assert not covers([scope], Filter({"type": ["shop.a"]}))


def test_never_more_than_is_granted_in_a_small_world():
    chance = random.Random(7)

    def some():
        names = chance.sample(["type", "source", "subject"], chance.randint(0, 3))
        return Filter({name: chance.sample(PATTERNS, chance.randint(1, 3)) for name in names})

    yes = 0
    for _ in range(4000):
        scopes, wanted = [some() for _ in range(chance.randint(0, 4))], some()
        allowed = all(any(scope.matches(one) for scope in scopes) for one in WORLD if wanted.matches(one))
        verdict = covers(scopes, wanted)
        assert allowed or not verdict, (scopes, wanted)
        yes += verdict
    assert yes > 400


def test_a_filter_of_too_many_combinations_counts_as_not_covered():
    # Each value of each attribute satisfies a set of scopes of its own, so nothing can be judged together.
    names = ["type", "source", "subject"]
    wanted = {name: [f"{name}{i}" for i in range(30)] for name in names}
    noise = [Filter({name: [value]}) for name, values in wanted.items() for value in values]
    halves = [Filter({"type": wanted["type"][begin::2]}) for begin in (0, 1)]
    assert MAX_COMBINATIONS < 30**3
    assert not covers([*halves, *noise], Filter(wanted))
    assert covers([*halves, *noise], Filter({name: values[:10] for name, values in wanted.items()}))
    assert covers([EVERYTHING, *halves, *noise], Filter(wanted))


def test_words_for_people():
    assert in_words([]) == "nothing"
    assert in_words([EVERYTHING]) == "everything"
    scopes = [Filter({"type": ["shop.*", "till"], "source": ["/s"]}), Filter({"type": ["a"]}), Filter({"type": ["a"]})]
    assert in_words(scopes) == "source /s, type shop.* or till; type a"
    many = in_words([Filter({"type": [f"t{i}"]}) for i in range(50)])
    assert many.endswith("; and 40 more")
    assert in_words([Filter({"type": [f"t{i:02}" for i in range(50)]})]).endswith("t09 or 40 more")
    assert "expressions" in in_words([Filter({}, [{"not": {"exact": {"type": "a"}}}])])
