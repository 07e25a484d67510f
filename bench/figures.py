"""The arithmetic of a comparison: medians, spreads, ratios of rounds that ran side by side."""

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple


class Spread(NamedTuple):
    """What several rounds gave for one figure."""

    median: float
    low: float
    high: float
    rounds: int

    @property
    def width(self) -> float:
        """How far the rounds lie apart, as a part of the median."""
        return (self.high - self.low) / self.median if self.median else 0.0


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values), len(values))


def ahead(ours: Sequence[float], theirs: Sequence[float], *, more_is_better: bool) -> Spread | None:
    """How many times better ours is, round by round: above 1 we are ahead. None where nothing can be divided.

    The two ran within seconds of each other in a round, so a busy machine moves both; the ratio of medians of
    different rounds would not have that.
    """
    pairs = [(a, b) if more_is_better else (b, a) for a, b in zip(ours, theirs, strict=False)]
    ratios = [a / b for a, b in pairs if a > 0 and b > 0]
    return spread(ratios) if ratios else None


def rotate(items: Sequence[Any], by: int) -> list[Any]:
    """Start each round with another contender, so none always runs first on a cool machine."""
    if not items:
        return []
    by %= len(items)
    return [*items[by:], *items[:by]]


def human(value: float) -> str:
    """Three figures that matter, thousands separated."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def times(ratio: float) -> str:
    """A ratio as people write it."""
    return f"{human(ratio)}\u00d7"
