"""A plain node for tests: calls run where they are made, and the clock is yours."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventstream import Keyring, Keys, Ledger, Store


class PlainServices:
    """`Services` without an event loop. Set `clock` to a function of your own to rule the time."""

    store: Store
    ledger: Ledger

    def __init__(self, folder: str | Path = ".", clock: Callable[[], float] = time.time, workers: int = 1) -> None:
        """Resolve relative paths in `folder`; tell Unix time from `clock`."""
        self.folder = str(folder)
        self.clock = clock
        self.workers = workers
        self.keys = Keys()
        self.keyring: Keyring | None = None
        self.counts: Counter[str] = Counter()

    def offload(self, call: Callable[[], Any]) -> Any:
        """Run the call here and now."""
        return call()

    def pause(self) -> None:
        """Do nothing: there is nobody else on this thread."""

    def now(self) -> float:
        """Return the clock's time in Unix seconds."""
        return self.clock()

    def count(self, what: str, amount: float = 1) -> None:
        """Keep the count in `counts`."""
        self.counts[what] += amount  # type: ignore[assignment]  # amounts may be seconds
