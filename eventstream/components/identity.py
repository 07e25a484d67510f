"""Who asks, and what they are granted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from eventstream.events.filter import EVERYTHING, Filter

Right = Literal["publish", "subscribe", "crypto", "admin"]
ANONYMOUS = "anonymous"  # in grants: everybody, known or not; no identity has this name


class Grant(NamedTuple):
    """One thing that somebody may do. `scope` are patterns, for `publish` and `subscribe`."""

    right: Right
    scope: Filter = EVERYTHING


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whom an authenticator knows."""

    name: str  # stable: what grants, logs and rates go by
    by: str  # the authenticator's name
    credentials: tuple[str, ...] = ()  # what can be revoked: `key:<kid>`, `token:<jti>`, `name:<name>`, …
    expires: float = math.inf  # Unix seconds; a stream ends at that second
    grants: Sequence[Grant] | None = None  # what the credential itself allows; None: what the configuration says
