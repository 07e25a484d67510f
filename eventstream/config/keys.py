"""The sections `keys` and `keyring`: named keys by environment or file, and where living keys are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from eventstream.components.key import NOTATIONS, Key, Keys, is_public, parse_key
from eventstream.components.keyring import Keyring
from eventstream.config.components import Builder
from eventstream.config.draft import Draft, nearest
from eventstream.config.interpolate import Interpolation
from eventstream.config.loader import Path, parse
from eventstream.errors import ConfigError
from eventstream.hooks.catalogue import Catalogue

_EXAMPLE = 'for example shop: {standard-webhooks: "${env:SHOP_KEY}"}'


def read_keys(draft: Draft, value: Any) -> tuple[Key, ...]:
    """Read all keys, each owner's newest first. A key with a fault (in the draft) stays known, without a kind."""
    if value is None:
        return ()
    if not isinstance(value, dict):
        draft.error(("keys",), "keys: expected a mapping of names", _EXAMPLE)
        return ()
    return tuple(key for name, entry in value.items() for key in _read_owner(draft, name, entry, ("keys", name)))


def _read_owner(draft: Draft, name: str, entry: Any, path: Path) -> list[Key]:
    if not isinstance(entry, dict) or len(entry) != 1:
        draft.error(path, f"key {name}: expected one kind and its text", _EXAMPLE)
        return [Key(name, name, "")]
    ((notation, value),) = entry.items()
    path = (*path, notation)
    if notation not in NOTATIONS:
        hint = nearest(notation, NOTATIONS, "kinds")
        draft.warn(path, f"key {name}: no built-in component uses kind {notation}", hint, key=True)
    texts = value if isinstance(value, list) else [value]
    places = [(*path, index) for index in range(len(texts))] if isinstance(value, list) else [path]
    if not texts:
        draft.error(path, f"key {name}: an empty list", _EXAMPLE)
    return [
        _read_text(draft, name if number == 1 else f"{name}-{number}", name, notation, text, place)
        for number, (text, place) in enumerate(zip(texts, places, strict=True), 1)
    ]


def _read_text(draft: Draft, kid: str, owner: str, notation: str, text: Any, path: Path) -> Key:
    """Judge and decode one text."""
    if not isinstance(text, str):
        draft.error(path, f"key {owner}: expected text", "put it in quotes")
        return Key(kid, owner, "")
    if not text:
        draft.error(path, f"key {owner}: the text is empty", "is the variable or file empty?")
        return Key(kid, owner, "")
    draft.hide(text)
    source = draft.sources.get(path)
    if not is_public(notation, text) and (source is None or not source.outside):
        draft.warn(path, f"key {owner} stands in the file", "keep it outside: ${env:NAME} or ${file:path}")
    try:
        return parse_key(kid, owner, notation, text)
    except ValueError as error:
        draft.error(path, f"key {owner}: {error}")
        return Key(kid, owner, "")


def read_keyring(builder: Builder, value: Any) -> tuple[Keyring | None, Sequence[Key]]:
    """Build the keyring, if there is one, and read its keys without their private halves."""
    if value is None:
        return None, ()
    path: Path = ("keyring",)
    named = builder.named("keyring", value, path)
    keyring: Keyring | None = builder.build("keyring", *named) if named is not None else None
    if named is None or keyring is None:
        return None, ()
    try:
        return keyring, keyring.public_keys(builder.folder)
    except ConfigError as error:
        for problem in error.problems:
            builder.draft.error(named[2], f"{named[0]}: {problem}", key=True)
        return None, ()


def load_keyring(text: str, file: str, catalogue: Catalogue, environ: Mapping[str, str]) -> tuple[Keyring | None, str]:
    """Return the keyring of a configuration, not open, and its folder; raises ConfigError.

    Nothing else in the file is judged: whoever manages keys need not have the server's whole environment.
    """
    document = parse(text, file)
    sections = document.value if isinstance(document.value, dict) else {}
    document.value = {name: value for name, value in sections.items() if name == "keyring"}
    document.problems = [one for one in document.problems if one.pointer.startswith("/keyring")]
    folder = str(FilePath(file).resolve().parent)
    interpolation = Interpolation(document, folder, environ)
    values = interpolation.run()
    draft = Draft(document, interpolation.sources, interpolation.broken)
    keyring, _ = read_keyring(Builder(draft, catalogue, folder, Keys()), values.get("keyring"))
    if any(problem.severity == "error" for problem in draft.problems):
        raise ConfigError(draft.sorted())
    return keyring, folder
