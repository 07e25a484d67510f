import pytest
from bench.figures import ahead, human, rotate, spread, times


def test_a_spread_has_the_median_and_both_ends():
    assert spread([5, 1, 9, 2]) == (3.5, 1, 9, 4)
    assert spread([5, 1, 9]).width == pytest.approx(8 / 5)


def test_more_of_a_good_thing_is_ahead_round_by_round():
    # the machine was half as fast in the second round: both figures fell, the ratio did not
    assert ahead([200, 100], [100, 50], more_is_better=True) == (2, 2, 2, 2)


def test_less_of_a_bad_thing_is_ahead():
    assert ahead([10], [30], more_is_better=False).median == 3


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([0], [5]), ([5], [0])])
def test_nothing_is_ahead_of_nothing(ours, theirs):
    assert ahead(ours, theirs, more_is_better=True) is None


def test_a_round_that_one_of_them_lacks_is_not_compared():
    assert ahead([10, 20, 30], [10], more_is_better=True).rounds == 1


def test_each_round_starts_with_another():
    assert [rotate("abc", n)[0] for n in range(4)] == ["a", "b", "c", "a"]
    assert rotate([], 3) == []


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.1234, "0.12"), (12.34, "12.3"), (1234.5, "1,234"), (1e6, "1,000,000")]
)
def test_figures_are_short(value, text):
    assert human(value) == text


def test_ratios_end_with_their_sign():
    assert times(2.5) == "2.50\u00d7"
