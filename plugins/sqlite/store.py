"""The store `sqlite`: its configuration, and its parts put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from eventstream import (
    ChainMark,
    ChainPage,
    Config,
    ConfigError,
    Conflict,
    Cursor,
    Entry,
    Epoch,
    Filter,
    Keep,
    Ledger,
    Meta,
    Page,
    Problem,
    Receipt,
    Services,
    Store,
    StoreBusy,
    epoch_of,
)

from . import chain, copy, native, schema
from .commit import CONFLICT, Commits, Outcome
from .ledger import SqliteLedger
from .presence import Presence, is_begun
from .reader import Reader
from .session import Sessions
from .trim import Trimmer, wal_bytes
from .watch import Watch
from .writer import Echo, Writer


class SqliteConfig(Config, frozen=True):
    """Options of the store `sqlite`."""

    path: Annotated[
        str,
        Meta(
            description="The database file, relative to the configuration file. Its neighbours `<path>-wal`, "
            "`<path>.watch` and so on belong to it.",
            examples=["data/events.db"],
            min_length=1,
        ),
    ] = "data/events.db"
    durability: Annotated[
        Literal["fsync", "os"],
        Meta(
            description="What a receipt promises: `fsync`, on stable storage; `os`, given to the operating system "
            "(survives a crash of this server, not a power cut).",
            examples=["fsync"],
        ),
    ] = "fsync"


class Sqlite(Store):
    """Keep events in one SQLite file, shared by all workers of one machine."""

    name: ClassVar[str] = "sqlite"
    Config = SqliteConfig
    examples: ClassVar[list[Any]] = [{"path": "data/events.db"}, {"path": "data/events.db", "durability": "os"}]
    can_chain: ClassVar[bool] = True
    config: SqliteConfig

    def __init__(self, config: SqliteConfig | None = None) -> None:
        """Keep the configuration; `read_only` may be set before `open` by who only reads or copies."""
        super().__init__(config)
        self.durability = self.config.durability
        self.read_only = False  # True: starts no epoch, takes no lock, writes nothing
        self._keep = Keep()
        self._open: _Open | None = None

    def data_folder(self, folder: str) -> str:
        """Return the folder of the database file."""
        return str(Path(folder, self.config.path).absolute().parent)

    def keep(self, keep: Keep) -> None:
        """Take the retention bounds."""
        self._keep = keep

    def open(self, services: Services) -> None:
        """Open the files; raises ConfigError or StoreBusy with the file's path and what would be right."""
        path = str(Path(services.folder, self.config.path).absolute())
        self._open = _Open(path, self, self._keep, services)

    def close(self) -> None:
        """Wait for the commit under way and give everything back."""
        if self._open is not None:
            self._open.close()
            self._open = None

    @property
    def _parts(self) -> _Open:
        if self._open is None:
            raise StoreBusy(f"sqlite store {self.config.path} is not open")
        return self._open

    def append(self, entries: Sequence[Entry], *, atomic: bool = True) -> list[Receipt | Conflict | None]:
        """Append through the group commit; see `Store.append`."""
        return self._parts.append(entries, atomic=atomic) if entries else []

    def read(self, after: int, limit: int, filter: Filter | None = None, *, hidden: bool = False) -> Page:
        """Return a page of at most 256 KiB (or one event) out of 5,000 rows; see `Store.read`."""
        return self._parts.reader.page(after, limit, filter, hidden=hidden)

    def head(self) -> int:
        """Return the highest visible offset."""
        return self._parts.reader.head()

    def epochs(self) -> Sequence[Epoch]:
        """Return the epochs, oldest first."""
        return self._parts.epochs()

    def watch(self, grown: Callable[[int], None], ephemeral: Callable[[bytes], None]) -> None:
        """Listen to every process on this file, this one included."""
        self._parts.watch.listen(grown, ephemeral)

    def echo(self, take: Echo) -> None:
        """Give back each group commit of this process as it would be read."""
        self._parts.echo(take)

    def announce(self, payload: bytes) -> int:
        """Send an ephemeral payload to every process."""
        return self._parts.watch.ephemeral(payload)

    def trim(self) -> int:
        """Remove a slice of at most 2,000 events; also forgets old ids and copies the WAL back."""
        return self._parts.trim()

    def backup(self, path: str) -> None:
        """Write a copy to a new file. One native call for the whole file: meant for a process of its own."""
        self._parts.backup(path)

    def open_ledger(self) -> Ledger:
        """Return the ledger in `<path>.rates` and `<path>-ledger.db`."""
        return self._parts.open_ledger()

    def chain_head(self) -> ChainMark | None:
        """Return the last event in the hash chain and its hash."""
        return self._parts.chain_head()

    def read_chain(self, after: int, limit: int) -> ChainPage | None:
        """Return a page of at most 1 MiB (or one event); see `Store.read_chain`."""
        return self._parts.read_chain(after, limit)

    def stats(self) -> dict[str, Any]:
        """Return counts, sizes in bytes and times in seconds; `ids_window` is how far back ids are known.

        `native` is 1 where commits run in compiled code, 0 where they run in Python.
        """
        return self._parts.stats()


class _Open:
    """Everything that exists between `open` and `close`."""

    def __init__(self, path: str, store: Sqlite, keep: Keep, services: Services) -> None:
        self.path = path
        self.read_only = store.read_only
        self._version = schema.VERSION  # a reader brings nothing up to date
        self._services = services
        self._exit = ExitStack()
        try:
            services.offload(self._enter)
            synchronous: schema.Synchronous = "FULL" if store.durability == "fsync" else "NORMAL"
            self.sessions = Sessions(path, synchronous)
            self._exit.callback(self.sessions.close)
            compiled = None if store.chained else native.commits(path, synchronous)
            self._native = compiled is not None
            commits = compiled or Commits(self.sessions, chained=store.chained)
            self._writer = Writer(path, commits, services.offload, services.now)
            self._trimmer = Trimmer(self.sessions, keep)
            self.reader = Reader(path, services.offload, services.pause, self._version)
            self._exit.callback(self.reader.close)
            self._epochs = self.reader.epochs()
            self._watch = None if self.read_only else self._bind()
            self._exit.callback(self._writer.close)
        except BaseException:
            self._exit.close()
            raise

    def _enter(self) -> None:
        with schema.trouble(self.path, "be opened", at_start=True):
            if self.read_only:
                self._version = _check_readable(self.path)
            else:
                self._exit.callback(Presence(self.path).close)

    def _bind(self) -> Watch:
        with schema.trouble(self.path, "create its folder of sockets", at_start=True):
            watch = Watch(self.path)
        self._exit.callback(watch.close)
        return watch

    @property
    def watch(self) -> Watch:
        if self._watch is None:
            raise StoreBusy(f"sqlite store {self.path} is open for reading only")
        return self._watch

    def echo(self, take: Echo) -> None:
        self._writer.echo = take

    def append(self, entries: Sequence[Entry], *, atomic: bool) -> list[Receipt | Conflict | None]:
        watch = self.watch
        request, head = self._writer.append(entries, atomic=atomic)
        if head:
            watch.grown(head)
        epoch = request.epoch
        return [
            Receipt(Cursor(epoch, outcome)) if outcome is not None and outcome > 0 else self._repeat(entry, outcome)
            for entry, outcome in zip(entries, request.outcomes or (), strict=True)
        ]

    def _repeat(self, entry: Entry, outcome: Outcome) -> Receipt | Conflict | None:
        if outcome is None:
            return None
        if outcome == CONFLICT:
            return Conflict(entry.id, entry.source)
        return Receipt(Cursor(epoch_of(self._epochs, -outcome).name, -outcome), duplicate=True)

    def epochs(self) -> Sequence[Epoch]:
        return self.reader.epochs() if self.read_only else self._epochs

    def trim(self) -> int:
        now = self._services.now()
        removed: int = self._services.offload(lambda: self._trimmer.slice(now))
        return removed

    def backup(self, path: str) -> None:
        self._services.offload(lambda: copy.backup(self.path, path))

    def open_ledger(self) -> Ledger:
        return SqliteLedger(self.path, self._services)

    def chain_head(self) -> ChainMark | None:
        return chain.end(self.reader.ask) if self._version >= chain.SINCE else None

    def read_chain(self, after: int, limit: int) -> ChainPage | None:
        return chain.page(self.reader.ask, after, limit) if self._version >= chain.SINCE else None

    def stats(self) -> dict[str, Any]:
        numbers = self.reader.numbers()
        oldest = numbers.pop("oldest_id")
        return numbers | {
            "ids_window": 0.0 if oldest is None else max(0.0, self._services.now() - oldest),
            "wal_bytes": wal_bytes(self.path),
            "file_bytes": Path(self.path).stat().st_size,
            "native": int(self._native),
            "commits": self._writer.commits,
            "commit_seconds": self._writer.commit_seconds,
            "slowest_commit": self._writer.slowest_commit,
        }

    def close(self) -> None:
        self._exit.close()


def _check_readable(path: str) -> int:
    """Return the version of its tables."""
    connection = schema.connect(path, query_only=True)
    try:
        schema.check(connection, path)
        if not is_begun(connection):
            hint = "start the server once, or give the path of a database of this server"
            raise ConfigError([Problem(f"store.sqlite: {path} holds no history yet", hint=hint)])
        return schema.version_of(connection)
    finally:
        connection.close()
