"""The admin socket: a Unix socket in the store's folder, for who may open files there."""

from __future__ import annotations

import os
from pathlib import Path

from eventstream.config.model import Settings
from eventstream.telemetry.log import get_logger

log = get_logger("admin")

NAME = "admin.sock"
MAX_PATH = 107  # bytes of a socket's path (sockaddr_un)


def admin_path(settings: Settings) -> Path | None:
    """Return where the admin socket is, or None for a store without a folder."""
    folder = settings.store.data_folder(settings.folder)
    return None if folder is None else Path(folder, NAME)


def admin_socket_of(settings: Settings) -> str | None:
    """Return the admin socket's path, its folder made; None, with the reason in the log, where there can be none."""
    path = admin_path(settings)
    if path is None:
        return None
    trouble = f"longer than {MAX_PATH} bytes" if len(os.fsencode(path)) > MAX_PATH else _make(path.parent)
    if trouble:
        log.warning("no_admin_socket", path=str(path), reason=trouble, hint="`eventstream status` will not work")
        return None
    return str(path)


def _make(folder: Path) -> str:
    """Create the folder for this user alone, its name durable like those that the store makes."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        for one in reversed(missing):
            one.mkdir(mode=0o700)
            descriptor = os.open(one.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except OSError as error:
        return str(error.strerror)
    return "" if os.access(folder, os.W_OK) else "its folder cannot be written"
