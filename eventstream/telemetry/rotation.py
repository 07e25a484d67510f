"""One log file that several processes write and rotate, without a lost or torn line."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class SharedFile(logging.Handler):
    """Appends each line with one write; at `max_size` bytes the file is renamed to `<file>.1`, and so on.

    A lock file beside it gives one process the turn at a time; the kernel takes it from one that is
    killed. Descriptors are opened anew after a fork: inherited ones would share their lock.
    """

    def __init__(self, file: str | Path, *, max_size: int, keep: int) -> None:
        """Open the file; `keep` old ones stay. Raises OSError."""
        super().__init__()
        self.path = Path(file).absolute()
        self._max_size = max_size
        self._keep = keep
        self._owner = 0
        self._file = self._lock_file = -1
        self._open()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; what goes wrong is told on standard error, as every handler does."""
        try:
            line = (self.format(record) + "\n").encode("utf-8", "backslashreplace")
            if self._owner != os.getpid():
                self._open()
            with self._locked():
                self._follow()
                if not self._fits(len(line)):
                    self._rotate()
                _write(self._file, line)
        except Exception:  # noqa: BLE001  # a logger must not break what it reports on
            self.handleError(record)

    def close(self) -> None:
        """Give the descriptors back."""
        if self._owner == os.getpid():
            os.close(self._file)
            os.close(self._lock_file)
            self._owner = 0
        super().close()

    def _open(self) -> None:
        """Open both files for this process; those of the process we were forked from stay as they are."""
        self._lock_file = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._file = self._open_log()
        self._owner = os.getpid()

    def _open_log(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def _follow(self) -> None:
        """Take up the file that stands under the name now: another process, or logrotate, may have renamed ours."""
        ours = os.fstat(self._file)
        try:
            found = self.path.stat()
        except FileNotFoundError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino):
            os.close(self._file)
            self._file = self._open_log()

    def _fits(self, length: int) -> bool:
        """Tell whether a line may still go in; one that is longer than the bound has a file of its own."""
        size = os.fstat(self._file).st_size
        return self._max_size <= 0 or size == 0 or size + length <= self._max_size

    def _rotate(self) -> None:
        names = [self.path, *(Path(f"{self.path}.{number}") for number in range(1, self._keep + 1))]
        names[-1].unlink(missing_ok=True)
        for older, newer in zip(reversed(names), list(reversed(names))[1:], strict=False):
            if newer.exists():
                newer.rename(older)
        self._follow()


def _write(file: int, line: bytes) -> None:
    """Write a whole line: in one call, unless the disk is full."""
    view = memoryview(line)
    while view:
        view = view[os.write(file, view) :]
