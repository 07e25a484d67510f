"""A verified token's claims: whether they count here and now, and whom they name."""

import math
from collections.abc import Collection
from typing import Any, NamedTuple

from eventstream import Grant, parse_grants

from .token import is_name, refusal


class Rules(NamedTuple):
    """What claims are judged by."""

    audience: Collection[str]
    issuer: Collection[str]  # empty: any
    skew: float  # seconds
    name: str  # the claim that names the caller
    grants: str  # the claim that carries grants


def judge_times(claims: dict[str, Any], now: float, skew: float) -> float:
    """Return when the token expires; raises Reject unless it counts now.

    `exp` is given no leeway, so that a request is refused from the second on at which a stream ends.
    """
    expires = _seconds(claims, "exp")
    if expires is None:
        raise refusal("there is no exp")
    if now >= expires:
        raise refusal("it has expired")
    begins = _seconds(claims, "nbf")
    if begins is not None and now + skew < begins:
        raise refusal("it is not valid yet (nbf)")
    issued = _seconds(claims, "iat")
    if issued is not None and now + skew < issued:
        raise refusal("it was issued in the future (iat)")
    if issued is not None and issued > expires:
        raise refusal("it was issued after its expiry (iat)")
    return expires


def judge_parties(claims: dict[str, Any], rules: Rules) -> None:
    """Refuse a token that is meant for others, or made by others; raises Reject."""
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or not all(isinstance(one, str) for one in audiences):
        raise refusal("aud is missing or no text")
    if not set(audiences) & set(rules.audience):
        raise refusal("aud names others")
    issuer = claims.get("iss")
    if rules.issuer and (not isinstance(issuer, str) or issuer not in rules.issuer):
        raise refusal("iss is not one of ours")


def read_name(claims: dict[str, Any], claim: str) -> str:
    """Return whom the token names; raises Reject."""
    name = claims.get(claim)
    if not is_name(name):
        raise refusal(f"the claim {claim} is no short printable text")
    return str(name)


def read_id(claims: dict[str, Any]) -> str | None:
    """Return the token's own id, by which it can be revoked; raises Reject."""
    if "jti" not in claims:
        return None
    if not is_name(claims["jti"]):
        raise refusal("jti is no short printable text")
    return str(claims["jti"])


def read_grants(claims: dict[str, Any], claim: str) -> tuple[Grant, ...] | None:
    """Return what the token grants, None when it says nothing of it; raises Reject."""
    if claim not in claims:
        return None
    try:
        return parse_grants(claims[claim])
    except ValueError as error:
        raise refusal(f"the claim {claim} is malformed: {error}") from None


def _seconds(claims: dict[str, Any], name: str) -> float | None:
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise refusal(f"{name} is no number")
    return float(value)
