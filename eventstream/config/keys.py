"""The section `keys`: named keys by environment or file, inline only with a warning."""

from __future__ import annotations

from typing import Any

from eventstream.components.key import Key
from eventstream.config.draft import Draft, nearest
from eventstream.config.loader import Path

KINDS = ("standard-webhooks", "curve25519", "secret")  # of the built-in steps; a plugin may want its own
_EXAMPLE = 'for example shop: {standard-webhooks: "${env:SHOP_KEY}"}'


def read_keys(draft: Draft, value: Any) -> dict[str, Key]:
    """Read all keys. What is wrong with one goes into the draft; its name stays known all the same."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        draft.error(("keys",), "keys: expected a mapping of names", _EXAMPLE)
        return {}
    return {name: _read_key(draft, name, entry, ("keys", name)) for name, entry in value.items()}


def _read_key(draft: Draft, name: str, entry: Any, path: Path) -> Key:
    if not isinstance(entry, dict) or len(entry) != 1:
        draft.error(path, f"key {name}: expected one kind and its text", _EXAMPLE)
        return Key(name, "", ())
    ((kind, value),) = entry.items()
    path = (*path, kind)
    if kind not in KINDS:
        draft.warn(path, f"key {name}: no built-in step uses kind {kind}", nearest(kind, KINDS, "kinds"), key=True)
    texts = value if isinstance(value, list) else [value]
    places = [(*path, index) for index in range(len(texts))] if isinstance(value, list) else [path]
    if not texts:
        draft.error(path, f"key {name}: an empty list", _EXAMPLE)
    for text, place in zip(texts, places, strict=True):
        _judge_text(draft, name, kind, text, place)
    return Key(name, kind, tuple(text for text in texts if text and isinstance(text, str)))


def _judge_text(draft: Draft, name: str, kind: str, text: Any, path: Path) -> None:
    if not isinstance(text, str):
        draft.error(path, f"key {name}: expected text", "put it in quotes")
        return
    if not text:
        draft.error(path, f"key {name}: the text is empty", "is the variable or file empty?")
        return
    draft.hide(text)
    source = draft.sources.get(path)
    public = kind == "curve25519" or text.startswith("whpk_")
    if not public and (source is None or not source.outside):
        draft.warn(path, f"key {name} stands in the file", "keep it outside: ${env:NAME} or ${file:path}")
