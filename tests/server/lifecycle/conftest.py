"""A server's inside from outside: its admin socket, its streams, its generations."""

import json
import os
import signal
import socket
import threading
from http.client import HTTPConnection

import httpx
import pytest

from eventstream.testing.process import wait_for


class AdminConnection(HTTPConnection):
    """HTTP over the admin socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(self._path))


@pytest.fixture
def admin(tmp_path):
    """Return a function that asks the admin socket of the server in tmp_path: `(status, body)`."""

    def ask(target, method="GET", body=None, headers=()):
        connection = AdminConnection(tmp_path / "data" / "admin.sock")
        try:
            connection.request(method, target, body, dict(headers))
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text[:1] == b"{" else text.decode()
        finally:
            connection.close()

    return ask


class Stream:
    """An SSE stream read by a thread, up to its end."""

    def __init__(self, url):
        self.text = ""
        self.ended = False
        self.error = None
        self._url = url
        threading.Thread(target=self._read, daemon=True).start()
        wait_for(lambda: "event: cursor" in self.text or self.ended, "the stream to open")

    def _read(self):
        try:
            with httpx.stream("GET", self._url, timeout=30, headers={"Accept": "text/event-stream"}) as response:
                for text in response.iter_text():
                    self.text += text
        except httpx.HTTPError as error:
            self.error = error
        self.ended = True

    def data(self):
        lines = self.text.split("\n")
        return [json.loads(line[5:]) for line in lines if line.startswith("data:") and '"specversion"' in line]


@pytest.fixture
def stream():
    """Return the class that reads a stream."""
    return Stream


@pytest.fixture
def kill_worker():
    """Return a function that kills one worker with -9 and waits until another one serves in its place."""

    def kill(server):
        before = server.workers()
        os.kill(before[0], signal.SIGKILL)
        wait_for(lambda: len(set(server.workers()) - {before[0]}) == len(before), "the killed worker's successor")

    return kill


@pytest.fixture
def reload():
    """Return a function that reloads a server; tells whether the file was taken, or refused."""

    def hup(server):
        refused = len(server.events("reload_refused"))
        running = server.generation()
        server.signal(signal.SIGHUP)

        def settled():
            return server.generation() > running or len(server.events("reload_refused")) > refused

        wait_for(settled, "the reload", seconds=30)
        return len(server.events("reload_refused")) == refused

    return hup
