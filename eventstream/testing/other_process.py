"""A second process on the same store, for the contract suites. Run as a module; see `start`."""

from __future__ import annotations

import base64
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from eventstream import Entry, Receipt, Store
from eventstream.testing.services import PlainServices

Process = subprocess.Popen[str]


def start(store: Store, folder: Path, *words: str) -> Process:
    """Start a process that opens an equal store and does what `words` say; it writes one line per result.

    `append NAME COUNT` appends one by one and writes each cursor; `announce TEXT` announces once;
    `take BUCKET COUNT BURST` takes tokens one by one from a bucket that hardly refills and writes how
    many it got. All wait for a line on standard input before they begin, and after they end.
    """
    spec = base64.b64encode(pickle.dumps((type(store), store.config, store.chained, str(folder)))).decode()
    command = [sys.executable, "-m", __spec__.name if __spec__ else __name__, spec, *words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603  # our own


def run(processes: Sequence[Process]) -> list[list[str]]:
    """Let the processes begin together, and end; return the lines that each wrote."""
    for process in processes:
        assert _pipe(process.stdout).readline() == "ready\n"  # noqa: S101  # part of a test
    for process in processes:
        _pipe(process.stdin).write("go\n")
        _pipe(process.stdin).flush()
    outputs = [process.communicate("end\n", timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)  # noqa: S101  # part of a test
    return [output.splitlines() for output in outputs]


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None  # noqa: S101  # `start` asked for it
    return stream


def make_entry(id: str, **changes: Any) -> Entry:
    """Return an entry; any field may be given another value."""
    fields: dict[str, Any] = {
        "id": id,
        "source": "/contract",
        "type": "contract.tested",
        "subject": None,
        "fingerprint": b"0123456789abcdef",
        "json": b'{"specversion":"1.0","id":"%b","source":"/contract","type":"contract.tested"}' % id.encode(),
    }
    return Entry(**fields | changes)


def main(arguments: list[str]) -> None:
    """Open the store that the first argument describes, and do what the others say."""
    kind, config, chained, folder = pickle.loads(base64.b64decode(arguments[0]))  # noqa: S301  # written by `start`
    store: Store = kind(config)
    store.chained = chained
    store.open(PlainServices(folder))
    print("ready", flush=True)  # noqa: T201  # this program's answer
    sys.stdin.readline()
    _act(store, arguments[1:])
    sys.stdin.readline()
    store.close()


def _act(store: Store, words: list[str]) -> None:
    match words:
        case ["append", name, count]:
            for number in range(int(count)):
                (receipt,) = store.append([make_entry(f"{name}-{number}")])
                print(receipt.cursor if isinstance(receipt, Receipt) else receipt, flush=True)  # noqa: T201  # as above
        case ["announce", text]:
            print(store.announce(text.encode()), flush=True)  # noqa: T201  # as above
        case ["take", bucket, count, burst]:
            ledger = store.open_ledger()
            got = sum(ledger.take(bucket, 1, rate=1e-3, burst=int(burst)).taken for _ in range(int(count)))
            print(got, flush=True)  # noqa: T201  # as above
            ledger.close()


if __name__ == "__main__":
    main(sys.argv[1:])
