"""Argon2id in a process of its own, one job after the other. Run as a script, by `eventstream_plugins.crypto.hashing`.

A job is a line of JSON on standard input, a socket: `{"password", "passes", "memory"}` to hash, or `{"password",
"hash"}` to verify. The answer is a line too: `{"hash"}`, `{"valid"}` or, without memory for it, `{"busy": true}`.
It imports nothing of the server, so that it is small, and ends when the socket does.
"""

import json
import os
import socket
from typing import Any

from nacl.exceptions import InvalidkeyError
from nacl.exceptions import RuntimeError as SodiumError
from nacl.pwhash import argon2id

LESS_URGENT = 10  # niceness: whoever waits for events goes first


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Do one job."""
    password = job["password"].encode()
    try:
        if "hash" not in job:
            return {"hash": argon2id.str(password, job["passes"], job["memory"]).decode()}
        return {"valid": argon2id.verify(job["hash"].encode(), password)}
    except InvalidkeyError:
        return {"valid": False}
    except SodiumError:  # its one cause: no memory
        return {"busy": True}


def main() -> None:
    """Work until the other side closes."""
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # the server's listening sockets may have come along
    os.nice(LESS_URGENT)
    connection = socket.socket(fileno=0)
    connection.setblocking(True)  # the worker made it, where sockets do not block
    with connection, connection.makefile("rwb") as lines:
        for line in lines:
            lines.write(json.dumps(work(json.loads(line))).encode() + b"\n")
            lines.flush()


if __name__ == "__main__":
    main()
