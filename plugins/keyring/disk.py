"""The keyring's file on disk: read whole, replaced whole, by one writer at a time, for its owner only."""

import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from eventstream import ConfigError, Problem, StoreBusy

MAX_FILE = 32 * 2**20  # bytes
LOCK_SECONDS = 10.0  # how long a writer waits for its turn; a change takes milliseconds


class Stamp(NamedTuple):
    """What changes when a file does."""

    inode: int
    modified: int
    changed: int  # also by chmod
    size: int


class Found(NamedTuple):
    """A file's content, and what it was like when it was read."""

    data: bytes
    stamp: Stamp


def look(path: Path) -> Stamp | None:
    """Return a file's stamp; None when there is none to be seen."""
    try:
        return _stamp(path.stat())
    except OSError:
        return None


def read(path: Path, what: str) -> Found:
    """Read a secret file; raises FileNotFoundError, and ConfigError when others could read it as well."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not hold us up
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            _judge(path, status, what)
            return Found(file.read(MAX_FILE), _stamp(status))
    except FileNotFoundError:
        raise
    except OSError as error:
        problem = Problem(f"cannot read the {what}: {error.strerror}", file=str(path))
        raise ConfigError([problem]) from None


def _judge(path: Path, status: os.stat_result, what: str) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError([Problem(f"the {what} is no regular file", file=str(path))])
    if mode & 0o077:
        raise ConfigError(
            [Problem(f"others may open the {what} (mode {mode:04o})", "", f"chmod 600 {path}", str(path))]
        )
    if status.st_size > MAX_FILE:
        raise ConfigError([Problem(f"the {what} is longer than {MAX_FILE} bytes", file=str(path))])


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Be the only one to change a file. Blocks: call it in a native thread. Raises StoreBusy after a while.

    The kernel gives the lock back when its holder is killed.
    """
    with _trouble(path):
        make_folder(path.parent)
        descriptor = _open_lock(Path(f"{path}.lock"))
    try:
        _lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    """Open the lock's file, which may be no link: root gives a new one away, and must not give away another's."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags)
    inherit(descriptor, path.parent)
    return descriptor


def _lock(descriptor: int, path: Path) -> None:
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise StoreBusy(f"keyring {path} has been locked by another process for {LOCK_SECONDS:g} s") from None
            time.sleep(0.01)
        else:
            return


def replace(path: Path, data: bytes) -> Stamp:
    """Put a file in another's place, durably and whole; call it within `alone`. Raises StoreBusy."""
    with _trouble(path):
        for left in path.parent.glob(f".{path.name}.*.new"):  # by a writer that was killed
            left.unlink(missing_ok=True)
        with _written(path, data) as new:
            new.rename(path)
            stamp = _stamp(path.stat())
        flush_folder(path.parent)
        return stamp


def create(path: Path, data: bytes) -> None:
    """Write a new file, durably and whole; raises FileExistsError and other OSErrors."""
    make_folder(path.parent)
    with _written(path, data) as new:
        os.link(new, path)  # unlike a rename this never replaces a file
    flush_folder(path.parent)


@contextmanager
def _written(path: Path, data: bytes) -> Iterator[Path]:
    """Write to a file of another name, flush it, and remove that name at the end if it is still there."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            inherit(descriptor, path if path.exists() else path.parent)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        yield new
    finally:
        new.unlink(missing_ok=True)


def inherit(descriptor: int, example: Path) -> None:
    """Give a file to the owner of another: what root writes must stay readable to the server's user."""
    if os.geteuid() == 0:
        status = example.stat()
        os.fchown(descriptor, status.st_uid, status.st_gid)


def make_folder(folder: Path) -> None:
    """Create a folder for its owner only, where it is missing."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def flush_folder(folder: Path) -> None:
    """Make a new name in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some network file systems cannot; the file itself is flushed
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _trouble(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreBusy(f"cannot write keyring {path}: {error.strerror}") from None
