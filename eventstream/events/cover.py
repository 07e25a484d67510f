"""Whether patterns allow all that a filter asks for: grants against subscriptions, pipelines against pipelines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import and_

from eventstream.events.filter import Filter, Selector

MAX_COMBINATIONS = 4096  # told apart at once; a filter that needs more counts as not covered
MAX_WORDS = 10  # scopes that are written out
_ALWAYS_SET = frozenset({"id", "source", "type"})  # `*` says nothing about these


def covers(scopes: Sequence[Filter], narrow: Filter) -> bool:
    """Tell whether every event that `narrow` matches is matched by one of `scopes`.

    Judged by patterns, and by top-level `exact` and `prefix` expressions; what other expressions say of
    `narrow` is not used, and a scope with others covers nothing: in doubt the answer is no.

    Each value of the filter has a mask: the scopes that it satisfies, one bit each. A combination of
    values, one for each attribute, is covered by the scopes that all its values satisfy.
    """
    usable = [scope for scope in scopes if not scope.opaque]
    attributes = {selector.attribute for scope in usable for selector in scope.selectors}
    found = [_masks(attribute, narrow, usable) for attribute in attributes]
    every = (1 << len(usable)) - 1
    if reduce(and_, (one for masks in found for one in masks), every):
        return True  # some scope covers all of it alone
    combined = {every}
    for masks in found:
        combined = {one & other for one in combined for other in masks}
        if 0 in combined or len(combined) > MAX_COMBINATIONS:
            return False
    return 0 not in combined


def _masks(attribute: str, narrow: Filter, scopes: Sequence[Filter]) -> set[int]:
    """Return the masks of every combination of values that an attribute may have; of any value where none is asked."""
    wanted = [selector for selector in narrow.selectors if selector.attribute == attribute]
    conditions = [[one for one in scope.selectors if one.attribute == attribute] for scope in scopes]
    masks = {_mask(all(_takes_any(one) for one in ones) for ones in conditions)}
    for selector in wanted:  # all of them hold at once: what satisfies a scope by one of them satisfies it
        found = {_mask(all(one.matches(value) for one in ones) for ones in conditions) for value in selector.exact}
        found |= {
            _mask(all(prefix.startswith(one.prefixes) for one in ones) for ones in conditions)
            for prefix in selector.prefixes
        }
        masks = {one | other for one in masks for other in found}
        if len(masks) > MAX_COMBINATIONS:
            return {0}
    return masks


def _mask(satisfied: Iterable[bool]) -> int:
    return sum(1 << place for place, one in enumerate(satisfied) if one)


def _takes_any(selector: Selector) -> bool:
    return selector.attribute in _ALWAYS_SET and "" in selector.prefixes


def in_words(scopes: Sequence[Filter]) -> str:
    """Write patterns as one says them: `type shop.* or till.*, source /shop`."""
    if not scopes:
        return "nothing"
    words = list(dict.fromkeys(map(_filter_in_words, scopes)))
    more = f"; and {len(words) - MAX_WORDS} more" if len(words) > MAX_WORDS else ""
    return "; ".join(words[:MAX_WORDS]) + more


def _filter_in_words(scope: Filter) -> str:
    parts = []
    for selector in scope.selectors:
        values = sorted([*selector.exact, *(f"{prefix}*" for prefix in selector.prefixes)])
        more = f" or {len(values) - MAX_WORDS} more" if len(values) > MAX_WORDS else ""
        parts.append(f"{selector.attribute} {' or '.join(values[:MAX_WORDS])}{more}")
    if scope.opaque:
        parts.append("what its expressions say")
    return ", ".join(parts) or "everything"
