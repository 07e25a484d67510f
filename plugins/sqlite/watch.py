"""Telling the other processes: a folder of Unix datagram sockets beside the database.

Each process binds two: one hears how far the history has grown, one hears ephemeral payloads, so that
neither can crowd out the other. Nothing here is needed for correctness: a lost word costs a slow poll.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

GROWN = "grown"
EPHEMERAL = "ephemeral"
MAX_PAYLOAD = 64 * 1024
_MAX_PATH = 107  # bytes of a socket's path (sockaddr_un)
_SETTLED_NS = 100_000_000  # a folder changed longer ago than this shows every change in its mtime
_BUFFER = 4 * 2**20
_DRAIN = 256  # words told at once
_STOP = b""


class Watch:
    """This process's two sockets, and connections to everybody else's."""

    def __init__(self, path: str) -> None:
        """Bind in the folder `<path>.watch`, creating it (0700)."""
        self._folder = Path(f"{path}.watch")
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._name = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._seen = -1  # the folder's mtime when the peers were listed
        self._peers: dict[str, socket.socket] = {}
        self._receivers: list[_Receiver] = []
        self._grown: Callable[[int], None] | None = None
        self._ephemeral: Callable[[bytes], None] | None = None

    def listen(self, grown: Callable[[int], None], ephemeral: Callable[[bytes], None]) -> None:
        """Hear the others from now on, each kind in a thread of its own."""
        self._grown, self._ephemeral = grown, ephemeral
        self._receivers = [
            _Receiver(self._address(f"{self._name}.{GROWN}"), lambda words: grown(max(map(int, words)))),
            _Receiver(self._address(f"{self._name}.{EPHEMERAL}"), lambda words: _each(ephemeral, words)),
        ]

    def grown(self, head: int) -> None:
        """Tell everybody that the history has grown to `head`. Never blocks."""
        for name, peer in self._listening(GROWN):
            self._send(name, peer, b"%d" % head)
        if self._grown is not None:
            self._grown(head)

    def ephemeral(self, payload: bytes) -> int:
        """Send a payload to everybody; return how many were full. Never blocks."""
        if len(payload) > MAX_PAYLOAD:
            raise ValueError(f"an ephemeral payload has at most {MAX_PAYLOAD} bytes, not {len(payload)}")
        full = sum(not self._send(name, peer, payload) for name, peer in self._listening(EPHEMERAL))
        if self._ephemeral is not None:
            self._ephemeral(payload)
        return full

    def _send(self, name: str, peer: socket.socket, word: bytes) -> bool:
        try:
            peer.send(word)
        except BlockingIOError:
            return False
        except OSError:  # its process has ended
            self._forget(name)
        return True

    def _listening(self, kind: str) -> list[tuple[str, socket.socket]]:
        changed = os.fstat(self._descriptor).st_mtime_ns
        if changed != self._seen:
            self._list_peers()
            # File systems stamp with a coarse clock: a change in the same tick as this listing would not show.
            self._seen = changed if time.time_ns() - changed > _SETTLED_NS else -1
        return [(name, peer) for name, peer in self._peers.items() if name.endswith(kind)]

    def _list_peers(self) -> None:
        names = {name for name in os.listdir(self._folder) if not name.startswith(f"{self._name}.")}  # noqa: PTH208  # names only
        for name in self._peers.keys() - names:
            self._peers.pop(name).close()
        for name in names - self._peers.keys():
            peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            peer.setblocking(False)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            self._peers[name] = peer
            try:
                peer.connect(self._address(name))
            except OSError:  # left behind by a process that was killed
                self._forget(name)

    def _forget(self, name: str) -> None:
        peer = self._peers.pop(name, None)
        if peer is not None:
            peer.close()
            (self._folder / name).unlink(missing_ok=True)

    def _address(self, name: str) -> str:
        """Return the socket's path, or one through /proc when that is too long for the kernel."""
        path = str(self._folder / name)
        return path if len(os.fsencode(path)) <= _MAX_PATH else f"/proc/self/fd/{self._descriptor}/{name}"

    def close(self) -> None:
        """End the threads and remove our sockets; may be called more than once."""
        for receiver in self._receivers:
            receiver.close()
        self._receivers = []
        self._grown = self._ephemeral = None
        for peer in self._peers.values():
            peer.close()
        self._peers = {}
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class _Receiver:
    """One bound socket and the thread that hears it."""

    def __init__(self, address: str, hear: Callable[[list[bytes]], object]) -> None:
        self._address = address
        self._hear = hear
        self._closed = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.bind(address)
        except BaseException:
            self._socket.close()
            raise
        self._thread = threading.Thread(target=self._run, name="eventstream-watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._socket:
            while not self._closed:
                words = [self._socket.recv(MAX_PAYLOAD)]
                self._drain(words)
                heard = [word for word in words if word != _STOP]
                if heard and not self._closed:
                    self._hear(heard)

    def _drain(self, words: list[bytes]) -> None:
        """Take what else has come, without waiting."""
        self._socket.setblocking(False)  # not MSG_DONTWAIT, in spite of which gevent's sockets wait
        with suppress(BlockingIOError):
            while len(words) < _DRAIN:
                words.append(self._socket.recv(MAX_PAYLOAD))
        self._socket.setblocking(True)

    def close(self) -> None:
        """Wake the thread with an empty word, and remove the name."""
        self._closed = True
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waker:
            waker.setblocking(False)
            with suppress(BlockingIOError):  # full: the thread is about to look at `_closed` anyway
                waker.sendto(_STOP, self._address)
        Path(self._address).unlink(missing_ok=True)
        if threading.current_thread() is not self._thread:
            self._thread.join(5)


def _each(tell: Callable[[bytes], None], words: list[bytes]) -> None:
    for word in words:
        tell(word)
