"""A TCP proxy that cuts its connections: after some bytes of the answer, or on command."""

import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Callable

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST, what is on its way is lost


class CuttingProxy:
    """Passes bytes to 127.0.0.1:`target`; every second cut is a reset, the others a plain end.

    `after` gives the bytes of the answer after which connection number n is cut, None for never.
    """

    def __init__(self, target: int, after: Callable[[int], int | None] = lambda _: None) -> None:
        self.target = target
        self.after = after
        self.accepted = 0
        self.answered = 0  # bytes of answers
        self.cuts = 0
        self._lock = threading.Lock()
        self._open: set[tuple[socket.socket, socket.socket]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def open(self) -> int:
        """The connections that are passed on now."""
        return len(self._open)

    def cut(self) -> None:
        """Cut all connections."""
        for pair in list(self._open):
            self._cut(pair)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            number, self.accepted = self.accepted, self.accepted + 1
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:  # the server is away: so is the proxy
                client.close()
                continue
            server.settimeout(None)
            pair = (client, server)
            self._open.add(pair)
            threading.Thread(target=self._pass, args=(pair, self.after(number)), daemon=True).start()

    def _pass(self, pair: tuple[socket.socket, socket.socket], budget: int | None) -> None:
        client, server = pair
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            try:
                while True:
                    for key, _ in selector.select():
                        data = key.fileobj.recv(16384)
                        if not data:
                            self._end(pair)
                            return
                        if key.fileobj is server and budget is not None:
                            data = data[:budget]
                            budget -= len(data)
                        key.data.sendall(data)
                        self.answered += len(data) * (key.fileobj is server)
                    if budget == 0:
                        self._cut(pair)
                        return
            except (OSError, ValueError):  # cut by command, or one side is gone
                self._end(pair)

    def _cut(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            if pair not in self._open:
                return
            self.cuts += 1
            if self.cuts % 2 == 0:
                pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._end(pair)

    def _end(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            if pair not in self._open:
                return
            self._open.discard(pair)
        for sock in pair:
            with contextlib.suppress(OSError):  # the peer was first
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
