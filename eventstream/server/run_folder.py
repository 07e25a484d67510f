"""A folder in memory for what lives as long as one master: counters, and what became of a reload."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "eventstream-"
_LOCK = "in-use"


@contextmanager
def run_folder() -> Iterator[str]:
    """Make a private folder, and remove it at the end; those of masters that were killed go too.

    A lock in it is held for as long as the master or one of its workers lives.
    """
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()  # noqa: S108  # mkdtemp below
    _sweep(base)
    owner = os.getpid()
    folder = tempfile.mkdtemp(prefix=_PREFIX, dir=base)
    lock = os.open(Path(folder, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    try:
        yield folder
    finally:
        if os.getpid() == owner:  # a worker leaves through here too
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _sweep(base: str) -> None:
    for folder in Path(base).glob(f"{_PREFIX}*"):
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # it went meanwhile, or is somebody else's, or is being made
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
