"""One connection that may write, with its place in the turnstile."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from eventstream import StoreBusy

from . import schema
from .ids import Latest
from .locks import Turnstile


class Closable(Protocol):
    """What may be given back."""

    def close(self) -> None:
        """Give it back."""


One = TypeVar("One", bound=Closable)


class Session:
    """A write connection and the locks that go with it; used by one native call at a time."""

    def __init__(self, path: str, synchronous: schema.Synchronous) -> None:
        """Open the connection and the lock files."""
        self.older = True  # ids of version 2 may be left (see `ids`)
        self.latest = Latest()
        self.connection = schema.connect(path, synchronous=synchronous)
        try:
            self.turnstile = Turnstile(path)
        except BaseException:
            self.connection.close()
            raise

    def close(self) -> None:
        """Roll back what is open and give everything back."""
        self.connection.close()
        self.turnstile.close()


class Pool(Generic[One]):
    """Idle sessions. Each native call owns the one it took: a caller killed meanwhile cannot lend it twice."""

    def __init__(self, path: str, open_: Callable[[], One]) -> None:
        """Open nothing yet."""
        self.path = path
        self._open = open_
        self._idle: deque[One] = deque()
        self._closed = False

    @contextmanager
    def borrow(self, doing: str) -> Iterator[One]:
        """Lend a session; any error ends in StoreBusy.

        After an error the session is thrown away (a connection whose fsync failed is not trusted again)
        and the next call opens a fresh one.
        """
        with schema.trouble(self.path, doing):
            session = self._take()
            try:
                yield session
            except BaseException:
                session.close()
                raise
            self._give_back(session)

    def late(self, doing: str) -> StoreBusy:
        """Return the error of one whose turn came when its caller had given up."""
        return StoreBusy(f"sqlite store {self.path}: cannot {doing}: another process held it up")

    def _take(self) -> One:
        try:
            return self._idle.pop()
        except IndexError:
            return self._open()

    def _give_back(self, session: One) -> None:
        if self._closed or self._idle:
            session.close()
        else:
            self._idle.append(session)

    def close(self) -> None:
        """Close the idle sessions; one in use is closed by its user."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()


class Sessions(Pool[Session]):
    """The sessions of one process on one file."""

    def __init__(self, path: str, synchronous: schema.Synchronous) -> None:
        """Open nothing yet."""
        super().__init__(path, lambda: Session(path, synchronous))

    @contextmanager
    def transaction(self, doing: str, deadline: float | None = None) -> Iterator[Session]:
        """Run a write transaction in turn, and commit it at the end.

        Raises StoreBusy also when the turn comes after `deadline` (on the clock of `time.monotonic`),
        since the caller has given up by then.
        """
        with self.borrow(doing) as session, session.turnstile.turn():
            if deadline is not None and time.monotonic() > deadline:
                raise self.late(doing)
            session.connection.execute("BEGIN IMMEDIATE")
            yield session
            session.connection.execute("COMMIT")
