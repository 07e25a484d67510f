"""The option `store.at_rest`: encryption of what is stored."""

from __future__ import annotations

from typing import Any

from eventstream.components.cipher import AtRest, AtRestConfig, Cipher
from eventstream.config.components import Builder
from eventstream.config.typed import read


def read_at_rest(builder: Builder, store: Any) -> AtRest | None:
    """Read it from the section `store`: build the cipher, judge the key; None also once there are faults."""
    if not isinstance(store, dict) or "at_rest" not in store:
        return None
    draft, path, value = builder.draft, ("store", "at_rest"), store["at_rest"]
    options: AtRestConfig | None = read(draft, {} if value is None else value, AtRestConfig, path)
    if options is None:
        return None
    trouble = builder.keys.trouble(options.key, ["secret"])
    if trouble is not None:
        add = draft.error if trouble.severity == "error" else draft.warn
        add((*path, "key"), trouble.message, trouble.hint)
    cipher: Cipher | None = builder.build("cipher", options.cipher, None, (*path, "cipher"))
    return None if cipher is None else AtRest(options.key, cipher)
