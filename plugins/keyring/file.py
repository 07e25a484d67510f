"""The keyring `file`: keys in one file that every worker and every command shares."""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec

from eventstream import Config, ConfigError, Duration, Key, Keyring, Keys, Meta, Problem, Services, State, StoreBusy

from . import disk
from .admission import admit
from .document import MAX_KEYS, Entry
from .herald import Herald
from .master import read_master
from .shared import KeyringFile, Loaded, read

log = logging.getLogger("eventstream.keyring")

SEAL = "seal"  # the purpose of readers' keys
LOOK_SECONDS = 0.25  # between two looks for another process's change; the promise is one second
RETRY_SECONDS = 1.0  # between two attempts to read a file in trouble
SPENT_SECONDS = 60.0  # for which an expired reader's key is still shown as expired


class FileConfig(Config, frozen=True):
    """Options of the keyring `file`."""

    path: Annotated[str, Meta(description="The keyring; created when it is missing.", min_length=1)] = (
        "keys/keyring.json"
    )
    master_file: Annotated[
        str | None,
        Meta(description="File of the master key, made by `eventstream keys master`.", examples=["keys/master.key"]),
    ] = None
    master: Annotated[
        str | None,
        Meta(description="The master key itself, from outside.", examples=["${env:EVENTSTREAM_MASTER_KEY}"]),
    ] = None
    cache: Annotated[
        Duration,
        Meta(description="How long private keys stay in memory before they are read anew.", examples=["1h"]),
    ] = Duration(3600)

    def __post_init__(self) -> None:
        if (self.master is None) == (self.master_file is None):
            raise ValueError("needs either `master_file` or `master`")
        if self.cache <= 0:
            raise ValueError("cache: must be greater than 0")

    def __repr__(self) -> str:
        """Leave the master key out."""
        return f"FileConfig(path={self.path!r}, master_file={self.master_file!r})"


class _Known(NamedTuple):
    """What this process serves; replaced whole."""

    revision: int  # counts this process's changes
    loaded: Loaded
    keys: tuple[Key, ...]
    stale: float  # when private halves must be read anew, on the monotonic clock


class FileKeyring(Keyring):
    """Keep keys in one file, their private halves sealed under a master key.

    The file is JSON: who has which key until when can be read, private halves cannot. Nothing in it can
    be altered without the master key. It is replaced as a whole, by one writer at a time, and each
    worker sees a change within half a second. Both files must be for their owner only (mode 0600).

    No server starts with a wrong or missing master key. A file that breaks while the server runs is
    logged and changes nothing: known keys stay, private halves until `cache` has passed.
    """

    name = "file"
    Config = FileConfig
    config: FileConfig
    examples: ClassVar[list[Any]] = [
        {"path": "keys/keyring.json", "master_file": "keys/master.key"},
        {"master_file": "/etc/eventstream/master.key", "cache": "15m"},
    ]

    def __init__(self, config: FileConfig) -> None:
        super().__init__(config)
        self.monotonic = time.monotonic  # a test sets its own
        self._known: _Known
        self._closed = threading.Event()
        self._turn = threading.Lock()  # one reads or writes at a time
        self._watcher: threading.Thread | None = None
        self._trouble = ""
        self._retry = 0.0
        self._herald: Herald | None = None
        self._told = 0  # the revision that others know

    def check(self, folder: str, keys: Keys) -> Iterable[Problem]:
        """Judge the files and their modes; with the master key at hand, everything."""
        path, master_file = self._places(folder)
        if master_file is not None and not master_file.exists():
            problem = f"{master_file} does not exist: no server starts without it"
            hint = f"put it back; for a new keyring: eventstream keys master {master_file}"
            return [Problem(problem, "/master_file", hint, severity="warning")]
        try:
            file = KeyringFile(path, read_master(self.config.master, master_file))
            if path.exists():
                file.load()
        except ConfigError as error:
            option = {str(path): "/path", str(master_file): "/master_file"}
            return [
                Problem(
                    f"{one.file}: {one.message}" if one.file else one.message, option.get(one.file, "/master"), one.hint
                )
                for one in error.problems
            ]
        return ()

    def public_keys(self, folder: str) -> Sequence[Key]:
        """Return every key without its private half."""
        found = read(self._places(folder)[0])
        return found.keys() if found is not None else ()

    def _places(self, folder: str) -> tuple[Path, Path | None]:
        path = (Path(folder) / self.config.path).resolve()  # of a link the target is replaced
        return path, Path(folder) / self.config.master_file if self.config.master_file is not None else None

    def open(self, services: Services) -> None:
        """Read the master key and the keyring, and follow its changes; an absent keyring is created."""
        path, master_file = self._places(services.folder)
        self._services = services
        self._file = KeyringFile(path, read_master(self.config.master, master_file))
        if services.offload(self._file.create):
            log.warning("keyring %s did not exist: an empty one is created", path)
        loaded: Loaded = services.offload(self._file.load)
        self._known = _Known(1, loaded, loaded.keys, self.monotonic() + self.config.cache)
        ledger = getattr(services, "ledger", None)
        if ledger is not None:  # a command has none: the server's watcher tells of what it did
            self._herald = Herald(ledger, loaded.keys)
        self._watcher = threading.Thread(target=self._watch, name="eventstream-keyring", daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """End the watcher."""
        self._closed.set()
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join(5)
            self._watcher = None

    @property
    def revision(self) -> int:
        """Count this process's changes."""
        return self._known.revision

    def keys(self) -> Sequence[Key]:
        """Return every key, newest first."""
        return self._known.keys

    def add(self, key: Key, *, most: int | None = None) -> None:
        """Keep a new key, and let go of readers' keys that have expired: pages register them without end."""
        now = self._services.now()

        def change(entries: Sequence[Entry], seal: Callable[[Key], Entry]) -> Iterable[Entry]:
            entries = [entry for entry in entries if not _is_spent(entry, now - SPENT_SECONDS)]
            if len(entries) >= MAX_KEYS:
                raise ValueError(f"a keyring holds at most {MAX_KEYS} keys")
            theirs = sum(entry.owner == key.owner and not _is_spent(entry, now) for entry in entries)
            if most is not None and theirs >= most:
                raise ValueError(f"{key.owner} has {theirs} keys")
            admit(key, entries)
            return (*entries, seal(key))

        self._edit(change)

    def change(self, kid: str, *, state: State | None = None, expires: float | None = None) -> Key:
        """Change a key's state or expiry, and return it."""

        def change(entries: Sequence[Entry], seal: Callable[[Key], Entry]) -> Iterable[Entry]:
            if all(entry.kid != kid for entry in entries):
                raise KeyError(kid)
            return [_changed(entry, state, expires) if entry.kid == kid else entry for entry in entries]

        self._edit(change)
        return next(key for key in self.keys() if key.kid == kid)

    def _edit(self, change: Callable[[Sequence[Entry], Callable[[Key], Entry]], Iterable[Entry]]) -> None:
        with self._turn:
            try:
                self._adopt(self._services.offload(lambda: self._file.edit(change)))
            except ConfigError as error:
                raise StoreBusy(f"the keyring cannot be changed: {error}") from error
            except ValueError:
                with suppress(ConfigError):  # what it was refused for may be news here
                    self._adopt(self._services.offload(self._file.load))
                raise
        self._tell()

    # -- following others' changes --------------------------------------------------------------

    def _watch(self) -> None:
        while True:
            try:
                self._follow()
                self._tell()
            except Exception:  # revocations come through here: whatever goes wrong, it must go on
                log.exception("the keyring's watcher failed; it goes on")
            if self._closed.wait(LOOK_SECONDS):
                return

    def _follow(self) -> None:
        """Read the file when it has changed, or when private halves are stale."""
        with self._turn:
            known, now = self._known, self.monotonic()
            if now < known.stale and disk.look(self._file.path) == known.loaded.stamp and not self._trouble:
                return
            if self._trouble and now < self._retry:
                return
            try:
                self._adopt(self._services.offload(self._file.load))
            except ConfigError as error:
                self._endure(str(error), now)

    def _adopt(self, loaded: Loaded) -> None:
        known = self._known
        revision = known.revision + (loaded.keys != known.keys)
        self._known = _Known(revision, loaded, loaded.keys, self.monotonic() + self.config.cache)
        if self._trouble:
            log.warning("keyring %s can be read again", self._file.path)
            self._trouble = ""

    def _endure(self, trouble: str, now: float) -> None:
        """Go on with what is known; private halves end with the cache."""
        known = self._known
        if trouble != self._trouble:
            log.error("the keyring cannot be read, known keys stay: %s", trouble)
        self._trouble, self._retry = trouble, now + RETRY_SECONDS
        if now >= known.stale:
            log.error("private keys are given up: for %s they could not be read anew", self.config.cache.written())
            public = tuple(replace(key, private=b"") for key in known.keys)
            self._known = _Known(known.revision + 1, known.loaded, public, math.inf)

    def _tell(self) -> None:
        revision = self._known.revision
        if self._herald is None or revision == self._told:
            return
        try:
            self._herald.tell(self._known.keys)
        except StoreBusy:
            return  # the next look tells
        self._told = revision


def _is_spent(entry: Entry, now: float) -> bool:
    """Tell whether nothing is lost with a key. One that is revoked stays, so that it cannot come back."""
    over = entry.expires is not None and entry.expires <= now
    return over and entry.purpose == SEAL and not entry.private and entry.state != "revoked"


def _changed(entry: Entry, state: State | None, expires: float | None) -> Entry:
    if entry.state == "revoked" and state not in (None, "revoked"):
        raise ValueError(f"key {entry.kid} is revoked, and stays so")
    if expires is not None:
        entry = msgspec.structs.replace(entry, expires=None if math.isinf(expires) else expires)
    return entry if state is None else msgspec.structs.replace(entry, state=state)
