"""The load generator (`load/load.c`): one process in C that opens streams, publishes, counts and times."""

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple, Self

from bench.cache import compile_c

MARK = "@0000000000000000@"  # the generator fills it in: when the event was sent
SOURCES = Path(__file__).parent / "load"

Found = dict[str, float]  # what a command gave: numbers by name, see `load.c`


class Ask(NamedTuple):
    """How one subscribes: the request, and what a WebSocket then sends."""

    request: bytes
    then: bytes = b""


class GeneratorFailed(Exception):
    """The generator ended in the middle of a command: says its last words."""


def get(path: str, **headers: str) -> bytes:
    """A GET as it stands on the wire; header names are written with `_` for `-`."""
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def websocket(path: str, **headers: str) -> bytes:
    """A WebSocket handshake."""
    return get(
        path, Connection="Upgrade", Upgrade="websocket", Sec_WebSocket_Version="13",
        Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==", **headers,
    )  # fmt: skip


def post(path: str, body: str, content_type: str = "application/json", **headers: str) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
    ]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join([*lines, "", ""]) + body).encode()


def masked(text: str) -> bytes:
    """A WebSocket text message from a client: the mask is zero, so its bytes stand as they are."""
    size = len(text)
    head = bytes([0x81, 0x80 | size]) if size < 126 else bytes([0x81, 0x80 | 126, size >> 8, size & 255])
    return head + bytes(4) + text.encode()


def order(size: int) -> dict[str, Any]:
    """An event's data, `size` bytes of JSON: a small order whose note carries the mark."""
    rest = {"order": 1042, "amount": 99.5}
    return {**rest, "note": MARK.ljust(size - len(json.dumps(rest, separators=(",", ":"))) - len(',"note":""'), "x")}


def event(size: int, **attributes: str) -> dict[str, Any]:
    """One event as most servers here take it."""
    return {"type": "bench", **attributes, "data": order(size)}


def compact(value: object) -> str:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))


class Generator:
    """The running generator. Use it as a context manager; each method is one of its commands."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = 0
        self._errors = (folder / "generator.log").open("w+")
        self._popen = subprocess.Popen(
            [compile_c(SOURCES / "load.c")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        assert self._popen.stdin
        assert self._popen.stdout
        self._commands, self._answers = self._popen.stdin, self._popen.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._popen.kill()
        self._popen.wait()
        self._commands.close()
        self._answers.close()
        self._errors.close()

    def open(self, port: int, connections: int, ask: Ask, **words: float) -> Found:
        """Open streams; `waiting`, `wait` and `follow` as in `load.c`."""
        files = {"request": self._file(ask.request)}
        if ask.then:
            files["then"] = self._file(ask.then)
        return self._command("open", port=port, connections=connections, **files, **words)

    def dial(self, port: int, connections: int) -> None:
        """Make the connections that the next `publish` uses, as a producer has them that is at work already."""
        self._command("dial", port=port, connections=connections)

    def publish(self, port: int, request: bytes, **words: float) -> Found:
        """Publish, and read until every receiver has everything; words as in `load.c`."""
        return self._command("publish", port=port, request=self._file(request), **words)

    def until(self, port: int, request: bytes, *, marks: int, repeats: int) -> Found:
        """Time from connecting to the `marks`-th event, `repeats` times."""
        return self._command("until", port=port, request=self._file(request), marks=marks, repeats=repeats)

    def watch(self, seconds: float) -> Found:
        """Read what comes, for a while."""
        return self._command("watch", seconds=seconds)

    def close(self) -> None:
        """Close all streams."""
        self._command("close")

    def _file(self, content: bytes) -> Path:
        self._files += 1
        path = self._folder / f"request.{self._files}"
        path.write_bytes(content)
        return path

    def _command(self, name: str, **words: object) -> Found:
        line = " ".join([name, *(f"{key}={value}" for key, value in words.items())])
        try:
            self._commands.write(line + "\n")
            self._commands.flush()
        except BrokenPipeError:
            pass  # it has ended: said below
        answer = self._answers.readline()
        if not answer:
            self._errors.seek(0)
            raise GeneratorFailed(f"at `{name}`: {self._errors.read()[-600:].strip() or self._popen.wait()}")
        found: Found = json.loads(answer)
        return found

    def complaints(self) -> str:
        """What it said on standard error so far: refused requests and streams."""
        return (self._folder / "generator.log").read_text()[-600:].strip()
