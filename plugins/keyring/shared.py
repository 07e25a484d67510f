"""One keyring file that several processes read and change."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from eventstream import ConfigError, Key, Problem

from . import disk
from .document import Body, Document, Entry, make_entry, new_body, next_body, parse, render
from .master import make_safe


class Loaded(NamedTuple):
    """The keyring as it was at one moment."""

    document: Document
    keys: tuple[Key, ...]  # newest first, with their private halves
    stamp: disk.Stamp


def read(path: Path) -> Document | None:
    """Read a keyring without its master; None when there is no file. Raises ConfigError."""
    try:
        return parse(disk.read(path, "keyring").data, path)
    except FileNotFoundError:
        return None


class KeyringFile:
    """A keyring with its master key. Everything here blocks: call it in a native thread, one call at a time."""

    def __init__(self, path: Path, master: bytes) -> None:
        """Touch nothing yet."""
        self.path = path
        self._master = master
        self._last: Body | None = None  # as it was read or written last: nothing older is taken, nor built upon

    def load(self) -> Loaded:
        """Read and open everything; raises ConfigError."""
        try:
            found = disk.read(self.path, "keyring")
        except FileNotFoundError:
            raise ConfigError([Problem("the keyring does not exist", file=str(self.path))]) from None
        loaded = parse(found.data, self.path)
        safe = loaded.unlock(self._master)
        self._judge(loaded.body)
        self._last = loaded.body
        return Loaded(loaded, loaded.keys(safe), found.stamp)

    def _judge(self, body: Body) -> None:
        """Refuse what was put in the keyring's place. An old copy's number grows too, once it is written to."""
        known = self._last
        if known is None or (body.id == known.id and body.revision >= known.revision and known.revoked <= body.revoked):
            return
        what = "another keyring" if body.id != known.id else "an older copy"
        problem = f"{what} was put in its place, which may undo revocations"
        raise ConfigError([Problem(problem, "", "restart the server to accept it", str(self.path))])

    def create(self) -> bool:
        """Write an empty keyring unless there is one; tell whether it was written. Raises StoreBusy."""
        if self.path.exists():
            return False
        with disk.alone(self.path):
            if self.path.exists():  # another process was faster
                return False
            self._write(new_body(self._master))
            return True

    def edit(self, change: Callable[[Sequence[Entry], Callable[[Key], Entry]], Iterable[Entry]]) -> Loaded:
        """Replace the entries by what `change(entries, seal)` makes of those that are there now, and return all.

        Nobody else changes them meanwhile. Raises ConfigError, StoreBusy, and whatever `change` raises.
        """
        with disk.alone(self.path):
            current = self.load().document
            safe = current.unlock(self._master)
            body = next_body(current.body, tuple(change(current.body.keys, lambda key: make_entry(key, safe))))
            return self._write(body)

    def _write(self, body: Body) -> Loaded:
        safe = make_safe(self._master, body.salt)
        data = render(body, safe)
        if len(data) > disk.MAX_FILE:  # nobody could read it
            raise ValueError(f"a keyring has at most {disk.MAX_FILE} bytes")
        stamp = disk.replace(self.path, data)
        written = parse(data, self.path)
        self._last = written.body
        return Loaded(written, written.keys(safe), stamp)
