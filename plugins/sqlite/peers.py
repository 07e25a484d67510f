"""The other processes' sockets in the folder, and what is still to be said to them."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

MAX_PATH = 107  # bytes of a socket's path (sockaddr_un)
BACKLOG = 1000  # words kept for a peer whose queue is full: the kernel's may hold as few as 10
BACKLOG_BYTES = 4 * 2**20
_BUFFER = 4 * 2**20
_SETTLED_NS = 100_000_000  # a folder changed longer ago than this shows every change in its mtime
_LOOK_SECONDS = 0.05  # how soon the flusher notices another full peer


class Folder:
    """The folder `<path>.watch` (0700); its descriptor gives short paths to the sockets in it."""

    def __init__(self, path: Path) -> None:
        """Create it where it is missing."""
        self.path = path
        path.mkdir(mode=0o700, exist_ok=True)
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def address(self, name: str) -> str:
        """Return a socket's path, or one through /proc when that is too long for the kernel."""
        path = str(self.path / name)
        return path if len(os.fsencode(path)) <= MAX_PATH else f"/proc/self/fd/{self.descriptor}/{name}"

    def state(self) -> int | None:
        """Return a number that differs when names have come or gone, or None when that cannot be told yet.

        File systems stamp with a coarse clock: a second change in the same tick would not show.
        """
        stamp = os.fstat(self.descriptor).st_mtime_ns
        return stamp if time.time_ns() - stamp > _SETTLED_NS else None

    def names(self, kind: str) -> set[str]:
        """Return the names of the sockets of one kind."""
        return {name for name in os.listdir(self.descriptor) if name.endswith(f".{kind}")}  # noqa: PTH208  # names only

    def close(self) -> None:
        """Give the descriptor back."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class _Peer:
    def __init__(self, address: str) -> None:
        self.backlog: deque[bytes] = deque()
        self.waiting = 0  # bytes in the backlog
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        try:
            self.socket.connect(address)
        except BaseException:
            self.socket.close()
            raise

    def say(self, word: bytes, *, keep: bool) -> bool:
        """Send behind what still waits; False when there is no room. Raises OSError when its process has ended."""
        if not self.backlog:
            with suppress(BlockingIOError):
                self.socket.send(word)
                return True
        if not keep or len(self.backlog) >= BACKLOG or self.waiting + len(word) > BACKLOG_BYTES:
            return False
        self.backlog.append(word)
        self.waiting += len(word)
        return True

    def flush(self) -> None:
        """Send what waits, as far as it goes. Raises OSError when its process has ended."""
        with suppress(BlockingIOError):
            while self.backlog:
                self.socket.send(self.backlog[0])
                self.waiting -= len(self.backlog.popleft())


class Peers:
    """Everybody else's sockets of one kind.

    With `keep`, words for a full peer wait in a bounded backlog, which a thread empties; without, they
    are dropped: a full queue already holds words that will wake its reader.
    """

    def __init__(self, folder: Folder, kind: str, own: str, *, keep: bool) -> None:
        """Connect to nobody yet; `own` is the name that is ours."""
        self._folder = folder
        self._kind = kind
        self._own = own
        self._keep = keep
        self._lock = threading.Lock()
        self._peers: dict[str, _Peer] = {}
        self._full = threading.Event()
        self._seen: int | None = None
        self._closed = False
        self._flusher: threading.Thread | None = None

    def say(self, word: bytes) -> int:
        """Send a word to everybody; return how many had no room for it. Never blocks."""
        refused = 0
        with self._lock:
            state = self._folder.state()
            if state is None or state != self._seen:
                self._seen = state
                self._refresh()
            for name, peer in list(self._peers.items()):
                try:
                    refused += not peer.say(word, keep=self._keep)
                except OSError:
                    self._remove(name)
            if self._keep and any(peer.backlog for peer in self._peers.values()):
                self._start_flusher()
        return refused

    def _refresh(self) -> None:
        names = self._folder.names(self._kind) - {self._own}
        for name in self._peers.keys() - names:
            self._peers.pop(name).socket.close()
        for name in names - self._peers.keys():
            try:
                self._peers[name] = _Peer(self._folder.address(name))
            except OSError:
                self._remove(name)

    def _remove(self, name: str) -> None:
        """Forget a socket whose process has ended, and tidy up behind one that was killed."""
        peer = self._peers.pop(name, None)
        if peer is not None:
            peer.socket.close()
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._folder.descriptor)  # in a folder that is open

    def _start_flusher(self) -> None:
        if self._flusher is None:
            self._flusher = threading.Thread(target=self._flush, name="eventstream-flush", daemon=True)
            self._flusher.start()
        self._full.set()

    def _flush(self) -> None:
        while True:
            self._full.wait()
            if self._closed:
                return
            with self._lock:
                for name, peer in list(self._peers.items()):
                    try:
                        peer.flush()
                    except OSError:
                        self._remove(name)
                full = [peer.socket for peer in self._peers.values() if peer.backlog]
                if not full:
                    self._full.clear()
            if full:
                select.select([], full, [], _LOOK_SECONDS)

    def close(self) -> None:
        """Leave unsaid what still waits."""
        self._closed = True
        self._full.set()
        if self._flusher is not None:
            self._flusher.join(5)
        with self._lock:
            for peer in self._peers.values():
                peer.socket.close()
            self._peers = {}
