"""A consistent copy of the database while it is in use."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from eventstream import ConfigError, Problem

from . import schema

_PAGES = 1024  # copied between two looks at the interpreter


def backup(source: str, target: str) -> None:
    """Copy `source` to the new file `target` (0600, durable); raises ConfigError when that exists.

    The copy needs no mark: whoever opens it first finds nobody there, and starts a new epoch.
    """
    path = Path(target).absolute()
    if path.exists():
        raise ConfigError([Problem(f"{path} exists already", hint="give the backup a new name")])
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with schema.trouble(source, f"be copied to {path}"):
        try:
            os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            _copy(source, partial)
            _sync(partial)
            os.link(partial, path)  # unlike a rename this never replaces a file that came meanwhile
        finally:
            partial.unlink(missing_ok=True)
        schema.sync_folder(path.parent)


def _copy(source: str, target: Path) -> None:
    reading = schema.connect(source, query_only=True)
    try:
        writing = sqlite3.connect(target, isolation_level=None)
        try:
            # Our own snapshot: without it a commit of another process would start the copy over each time.
            reading.execute("BEGIN").fetchall()
            reading.execute("SELECT head FROM meta").fetchall()
            reading.backup(writing, pages=_PAGES)
            writing.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, without a log beside it
        finally:
            writing.close()
    finally:
        reading.close()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
