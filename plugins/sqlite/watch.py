"""Telling the other processes: a folder of Unix datagram sockets beside the database.

Each process binds two: one hears how far the history has grown, one hears ephemeral payloads, so that
neither can crowd out the other. Nothing here is needed for correctness: a lost word costs a slow poll.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .peers import Folder, Peers

GROWN = "grown"
EPHEMERAL = "ephemeral"
MAX_PAYLOAD = 64 * 1024
_DRAIN = 256  # words told at once
_STOP = b""


class Watch:
    """This process's two sockets, and the ways to everybody else's."""

    def __init__(self, path: str) -> None:
        """Open the folder `<path>.watch`, creating it; nothing is heard before `listen`."""
        self._folder = Folder(Path(f"{path}.watch"))
        name = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._names = {kind: f"{name}.{kind}" for kind in (GROWN, EPHEMERAL)}
        self._growing = Peers(self._folder, GROWN, self._names[GROWN], keep=False)
        self._announcing = Peers(self._folder, EPHEMERAL, self._names[EPHEMERAL], keep=True)
        self._ears: list[_Ear] = []
        self._grown: Callable[[int], None] | None = None
        self._ephemeral: Callable[[bytes], None] | None = None

    def listen(self, grown: Callable[[int], None], ephemeral: Callable[[bytes], None]) -> None:
        """Hear the others from now on, each kind in a thread of its own; and ourselves directly."""
        self._grown, self._ephemeral = grown, ephemeral
        self._ears = [
            _Ear(self._folder, self._names[GROWN], lambda words: grown(max(map(int, words)))),
            _Ear(self._folder, self._names[EPHEMERAL], lambda words: _each(ephemeral, words)),
        ]

    def grown(self, head: int) -> None:
        """Tell everybody that the history has grown to `head`. Never blocks."""
        self._growing.say(b"%d" % head)
        if self._grown is not None:
            self._grown(head)

    def ephemeral(self, payload: bytes) -> int:
        """Send a payload to everybody; return how many were full. Never blocks."""
        if len(payload) > MAX_PAYLOAD:
            raise ValueError(f"an ephemeral payload has at most {MAX_PAYLOAD} bytes, not {len(payload)}")
        full = self._announcing.say(b"=" + payload)
        if self._ephemeral is not None:
            self._ephemeral(payload)
        return full

    def close(self) -> None:
        """End the threads and remove our sockets; may be called more than once."""
        self._grown = self._ephemeral = None
        for ear in self._ears:
            ear.close()
        self._ears = []
        self._growing.close()
        self._announcing.close()
        self._folder.close()


class _Ear:
    """One bound socket and the thread that hears it."""

    def __init__(self, folder: Folder, name: str, hear: Callable[[list[bytes]], None]) -> None:
        self._path = folder.path / name
        self._hear = hear
        self._closed = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._waker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._waker.setblocking(False)
        try:
            self._socket.bind(folder.address(name))
            self._waker.connect(folder.address(name))
        except BaseException:
            self._socket.close()
            self._waker.close()
            raise
        self._thread = threading.Thread(target=self._run, name="eventstream-watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._socket:
            while not self._closed:
                words = [self._socket.recv(MAX_PAYLOAD + 1)]
                self._drain(words)
                heard = [word for word in words if word != _STOP]
                if heard and not self._closed:
                    self._hear(heard)

    def _drain(self, words: list[bytes]) -> None:
        """Take what else has come, without waiting."""
        self._socket.setblocking(False)  # not MSG_DONTWAIT, in spite of which gevent's sockets wait
        with suppress(BlockingIOError):
            while len(words) < _DRAIN:
                words.append(self._socket.recv(MAX_PAYLOAD + 1))
        self._socket.setblocking(True)

    def close(self) -> None:
        """Wake the thread with an empty word, and remove the name."""
        self._closed = True
        # Full: the thread is about to look at `_closed` anyway. Refused: it has looked, and is gone.
        with self._waker, suppress(BlockingIOError, ConnectionRefusedError):
            self._waker.send(_STOP)
        self._path.unlink(missing_ok=True)
        if threading.current_thread() is not self._thread:
            self._thread.join(5)


def _each(tell: Callable[[bytes], None], words: list[bytes]) -> None:
    for word in words:
        tell(word[1:])
