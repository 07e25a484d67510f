"""The section `auth`: how one tells who asks, and who may do what."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from eventstream.components.authenticator import Authenticator
from eventstream.components.identity import ANONYMOUS, Grant, Right
from eventstream.config.components import Builder
from eventstream.config.draft import Draft, nearest
from eventstream.config.loader import Path
from eventstream.config.model import Auth, Granted
from eventstream.config.patterns import read_patterns
from eventstream.config.pipelines import PipelineDraft
from eventstream.events.cover import covers
from eventstream.events.filter import EVERYTHING, Filter

RIGHTS: tuple[Right, ...] = get_args(Right)
SCOPED: tuple[Right, ...] = ("publish", "subscribe")  # rights that patterns may narrow
_FIELDS = ("chain", "grants")
_GRANT = '{to: shop, publish: {type: "shop.*"}}'
_EXAMPLE = f"for example {_GRANT}"


def read_auth(builder: Builder, values: Mapping[str, Any], pipelines: Sequence[PipelineDraft]) -> Auth | None:
    """Read the section; None without one, or once its faults are in the draft."""
    draft, path = builder.draft, ("auth",)
    if "auth" not in values:
        return None
    value = values["auth"]
    if not isinstance(value, dict):  # also when all of it is commented out: that must not open the server
        draft.error(path, "auth: expected a mapping", f"for example auth: {{chain: [api-key], grants: [{_GRANT}]}}")
        return None
    for key in value:
        if key not in _FIELDS:
            draft.error((*path, key), f"unknown field {key}", nearest(key, _FIELDS, "fields"), key=True)
    chain = _read_chain(builder, value.get("chain"))
    identifies = any(one.kind is not None and one.kind.identifies for pipeline in pipelines for one in pipeline.steps)
    if not value.get("chain") and not identifies:
        hint = f"{builder.names('authenticator')}; or a pipeline with a step that verifies signatures"
        draft.error((*path, "chain"), "nobody can say who they are: the chain is empty", hint, key=True)
    return Auth(tuple(chain), tuple(_read_grants(draft, value.get("grants"))))


def _read_chain(builder: Builder, value: Any) -> list[Authenticator]:
    if value is not None and not isinstance(value, list):
        hint = f"for example chain: [api-key]; {builder.names('authenticator')}"
        builder.draft.error(("auth", "chain"), "chain: expected a list of authenticators", hint)
        return []
    found = []
    for index, entry in enumerate(value or []):
        named = builder.named("authenticator", entry, ("auth", "chain", index))
        built = builder.build("authenticator", *named) if named is not None else None
        if built is not None:
            found.append(built)
    return found


def _read_grants(draft: Draft, value: Any) -> list[Granted]:
    path: Path = ("auth", "grants")
    if value is not None and not isinstance(value, list):
        draft.error(path, "grants: expected a list", _EXAMPLE)
        return []
    if not value:
        draft.warn(path, "nobody may do anything: there are no grants", _EXAMPLE, key=True)
    found: list[tuple[Path, Granted]] = []
    for index, entry in enumerate(value or []):
        granted = _read_entry(draft, entry, (*path, index))
        if granted is not None:
            _lint_entry(draft, granted, (*path, index), found)
            found.append(((*path, index), granted))
    return [granted for _, granted in found]


def _read_entry(draft: Draft, entry: Any, path: Path) -> Granted | None:
    faults = draft.faults
    if not isinstance(entry, dict):
        draft.error(path, "a grant is a mapping", _EXAMPLE)
        return None
    for key in entry:
        if key not in ("to", *RIGHTS):
            draft.error((*path, key), f"unknown right {key}", nearest(key, ("to", *RIGHTS), "rights"), key=True)
    to = _read_names(draft, entry.get("to"), (*path, "to"))
    grants = [
        Grant(right, scope)
        for right in RIGHTS
        if right in entry
        for scope in _read_scopes(draft, right, entry[right], (*path, right))
    ]
    if not grants and draft.faults == faults:
        draft.error(path, "this grant gives no right", f"rights: {', '.join(RIGHTS)}")
    if any(grant.right == "admin" for grant in grants):
        if ANONYMOUS in to:
            draft.error((*path, "admin"), "nobody unknown may administer", "name identities in `to`", key=True)
        elif "*" in to:
            draft.warn((*path, "admin"), "everybody who is known may administer", "name identities in `to`", key=True)
    return Granted(to, tuple(grants)) if draft.faults == faults else None


def _read_names(draft: Draft, value: Any, path: Path) -> tuple[str, ...]:
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) and name for name in names):
        hint = f"for example to: shop, to: [ops, till-*], to: {ANONYMOUS}"
        draft.error(path, "to: expected the names of identities", hint)
        return ()
    for index, name in enumerate(names):
        place = (*path, index) if isinstance(value, list) else path
        if "*" in name[:-1]:
            draft.error(place, f"{name!r}: only a trailing * is a wildcard", "a list of names means each of them")
        elif name != ANONYMOUS and difflib.get_close_matches(name, [ANONYMOUS], cutoff=0.85):
            draft.warn(place, f"{name} is an identity's name", f"those whom nobody knows are {ANONYMOUS}")
    return tuple(names)


def _read_scopes(draft: Draft, right: Right, value: Any, path: Path) -> list[Filter]:
    if value is True:
        return [EVERYTHING]
    if right not in SCOPED:
        draft.error(path, f"{right}: expected true", "leave it out where it is not granted")
        return []
    if not isinstance(value, dict | list) or not value:
        hint = 'true for everything, or patterns: {type: "shop.*"}, or a list of them, any of which suffices'
        draft.error(path, f"{right}: expected true or patterns", hint)
        return []
    entries = [(path, value)] if isinstance(value, dict) else [((*path, index), one) for index, one in enumerate(value)]
    scopes = []
    for place, one in entries:
        if one == {}:
            draft.error(place, f"{right}: patterns without an attribute allow everything", f"write {right}: true")
        scopes.append(read_patterns(draft, one, place))
    return [scope for scope in scopes if scope is not None]


def _lint_entry(draft: Draft, granted: Granted, path: Path, earlier: Sequence[tuple[Path, Granted]]) -> None:
    """Warn of an entry that gives nothing beyond what one before it gives to the same names."""
    for place, other in earlier:
        if all(any(_includes(wide, name) for wide in other.to) for name in granted.to) and all(
            covers([one.scope for one in other.grants if one.right == grant.right], grant.scope)
            for grant in granted.grants
        ):
            line = draft.document.place(place).line
            draft.warn(path, f"this grant gives nothing new: line {line} gives all of it", "leave one out")
            return


def _includes(wide: str, name: str) -> bool:
    """Tell whether every identity that `name` names is named by `wide`."""
    if ANONYMOUS in (wide, name):
        return wide == ANONYMOUS  # what it is given, all have
    return name.startswith(wide[:-1]) if wide.endswith("*") else name == wide
