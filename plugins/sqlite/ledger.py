"""The ledger beside the store: rates in a mapped table, claims and facts in a small database."""

from __future__ import annotations

import threading
from collections.abc import Callable

from eventstream import Ledger, Services, StoreBusy, Take

from . import schema
from .claims import Claims
from .facts import Facts, Follower
from .rates import Rates

POLL_SECONDS = 0.25  # between two looks for changes; the promise is one second


class SqliteLedger(Ledger):
    """Small shared facts of all processes on one database."""

    def __init__(self, path: str, services: Services) -> None:
        """Open `<path>.rates` and `<path>-ledger.db`."""
        self._services = services
        self._path = path
        self._closed = threading.Event()
        self._followers: list[tuple[Follower, threading.Thread]] = []
        with schema.trouble(f"{path}.rates", "be opened"):
            self._rates = Rates(path)
        try:
            self._facts: Facts = services.offload(lambda: Facts(path))
            self._claims = Claims(self._facts, services.offload, services.pause)
        except BaseException:
            self._rates.close()
            raise

    def take(self, bucket: str, amount: int, *, rate: float, burst: int) -> Take:
        """Take tokens, exactly across processes. Some 10 microseconds, on the loop."""
        if self._closed.is_set():
            raise StoreBusy(f"ledger of {self._path} is closed")
        return self._rates.take(bucket, amount, rate, burst)

    def claim(self, key: str, ttl: float) -> bool:
        """Claim a key for `ttl` seconds."""
        now = self._services.now()
        return self._claims.claim(key, now, ttl)

    def put(self, key: str, value: bytes, ttl: float) -> None:
        """Set a fact for `ttl` seconds."""
        now = self._services.now()
        self._services.offload(lambda: self._facts.put(key, value, now, ttl))

    def get(self, key: str) -> bytes | None:
        """Return a fact that has not expired."""
        now = self._services.now()
        value: bytes | None = self._services.offload(lambda: self._facts.get(key, now))
        return value

    def watch(self, changed: Callable[[str, bytes], None]) -> None:
        """Tell of every fact that any process sets from now on."""
        follower: Follower = self._services.offload(lambda: Follower(self._facts, changed))
        thread = threading.Thread(target=self._follow, args=(follower,), name="eventstream-ledger", daemon=True)
        self._followers.append((follower, thread))
        thread.start()

    def _follow(self, follower: Follower) -> None:
        while not self._closed.wait(POLL_SECONDS):
            try:
                changes = self._services.offload(follower.look)
            except StoreBusy:
                continue  # the next look finds the same changes
            follower.report(changes)

    def close(self) -> None:
        """End the watchers and give back the files."""
        self._closed.set()
        for _, thread in self._followers:
            if thread is not threading.current_thread():
                thread.join(5)
        self._followers = []
        self._claims.close()
        self._facts.close()
        self._rates.close()
