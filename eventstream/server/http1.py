"""The plain half of HTTP/1.1: request heads as almost every client sends them, read by one expression.

Whatever is out of the ordinary here (transfer codings, expectations, upgrades of another kind, doubled
or underscored fields, folding, bare line ends, long heads) is not judged but left to gunicorn's parser,
which is strict and slow. So this module may only ever accept what that parser accepts, with the same meaning.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

MAX_HEAD = 8190  # bytes; a longer one is gunicorn's to judge
MAX_FIELDS = 64

# RFC 9110 section 5.6.2 (token, less the underscore) and 5.5 (field content); RFC 3986 for the target.
_HEAD = re.compile(
    rb"(GET|HEAD|POST|OPTIONS) (/[!$-;=?-Z\[\]_a-z~]*) HTTP/1\.1\r\n"
    rb"((?:[A-Za-z0-9!#$%&'*+.^`|~-]+:[\t -~\x80-\xff]*\r\n)+)\r\n\Z"
)
_LENGTH = re.compile(r"(?:0|[1-9][0-9]{0,8})\Z")
_ONCE = frozenset({"HTTP_HOST", "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "HTTP_CONNECTION"})
_UNUSUAL = frozenset(
    {"HTTP_TRANSFER_ENCODING", "HTTP_EXPECT", "HTTP_TE", "HTTP_TRAILER", "HTTP_PROXY_CONNECTION", "HTTP_KEEP_ALIVE"}
)


class Head(NamedTuple):
    """A request's head: what WSGI is told of it, the length of its body, and whether more may follow."""

    environ: dict[str, Any]
    length: int
    keep_alive: bool


def parse_head(data: bytes) -> Head | None:
    """Read a whole head, its blank line included; None for what gunicorn's parser is to judge."""
    match = _HEAD.match(data) if len(data) <= MAX_HEAD else None
    if match is None:
        return None
    environ = _fields(match[3])
    if environ is None:
        return None
    connection = environ.get("HTTP_CONNECTION", "keep-alive").lower()
    length = environ.pop("HTTP_CONTENT_LENGTH", "0")
    if not _LENGTH.match(length) or not _plain(connection, environ):
        return None
    method = match[1].decode("latin-1")
    if "HTTP_CONTENT_TYPE" in environ:
        environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE")
    path, _, query = match[2].partition(b"?")
    environ.update(
        REQUEST_METHOD=method,
        RAW_URI=match[2].decode("latin-1"),
        PATH_INFO=(unquote_to_bytes(path) if b"%" in path else path).decode("latin-1"),
        QUERY_STRING=query.decode("latin-1"),
        SERVER_PROTOCOL="HTTP/1.1",
        SCRIPT_NAME="",
    )
    if length != "0" or method == "POST":
        environ["CONTENT_LENGTH"] = length
    return Head(environ, int(length), connection != "close")


def _plain(connection: str, environ: dict[str, str]) -> bool:
    """Tell whether the connection goes on or ends after this request, or turns into a WebSocket."""
    if connection in ("keep-alive", "close"):
        return "HTTP_UPGRADE" not in environ
    return "upgrade" in connection and environ.get("HTTP_UPGRADE", "").lower() == "websocket"


def _fields(block: bytes) -> dict[str, Any] | None:
    environ: dict[str, Any] = {}
    lines = block.decode("latin-1").split("\r\n")
    if len(lines) > MAX_FIELDS:
        return None
    for line in lines[:-1]:
        name, _, value = line.partition(":")
        key = "HTTP_" + name.upper().replace("-", "_")
        if key in _UNUSUAL:
            return None
        value = value.strip(" \t")
        if key in environ:
            if key in _ONCE:
                return None
            value = f"{environ[key]},{value}"  # RFC 9110 section 5.3
        environ[key] = value
    return environ
