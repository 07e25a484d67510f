"""A store that is full, or locked by another program: 503 with the reason in the log, and no false receipt."""

import resource
import sqlite3

import pytest
from crash.stream import Publisher, Stream

from eventstream.testing.process import wait_for

SMALL = 300_000  # bytes a file may have


def stored(folder):
    with sqlite3.connect(folder / "data" / "events.db") as database:
        rows = [row[0] for row in database.execute("SELECT json FROM events ORDER BY offset")]
    database.close()
    return rows


def check_refusal(status, headers, body):
    assert status == 503, body
    assert int(headers["Retry-After"]) >= 1
    assert headers["Content-Type"].startswith("application/problem+json")
    assert "events.db" not in str(body)  # the reason is the operator's, not the sender's


@pytest.fixture
def full_disk(serve):
    """A server whose files cannot grow beyond `SMALL` bytes, until `room()` is called."""
    server = serve(workers=2)

    def limit(size):
        for pid in server.workers():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    limit(SMALL)
    return server, lambda: limit(resource.RLIM_INFINITY)


def test_full(full_disk, tmp_path):
    server, room = full_disk
    with Publisher(server.port) as publisher, Stream(server.port, after="earliest") as stream:
        refused = []
        while len(refused) < 5:
            status, headers, body = publisher.publish(size=5000)
            if status != 201:
                check_refusal(status, headers, body)
                refused.append(publisher.count)
            assert publisher.count < 200
        accepted = list(publisher.receipts)
        assert accepted
        assert stream.take(len(accepted)) == accepted  # what was taken is delivered all the same
        reasons = [line for line in server.log().splitlines() if "cannot append" in line]
        assert any("FULL" in line or "IOERR" in line or "File too large" in line for line in reasons), server.log()
        room()
        wait_for(lambda: publisher.again(refused[0], 5000)[0] in (200, 201), "the store to take events again")
        for number in refused[1:]:
            assert publisher.again(number, 5000)[0] in (200, 201)
        assert publisher.publish()[0] == 201
        rest = [str(number) for number in refused] + [str(publisher.count)]
        assert stream.take(len(rest)) == rest
        assert stream.gaps == []
    assert len(stored(tmp_path)) == len(publisher.receipts)
    assert len(server.workers()) == 2


def test_locked_by_another_program(serve, tmp_path):
    server = serve(workers=2)
    with Publisher(server.port) as publisher, Stream(server.port, after="earliest") as stream:
        assert publisher.publish()[0] == 201
        with sqlite3.connect(tmp_path / "data" / "events.db", isolation_level=None) as other:
            other.execute("BEGIN EXCLUSIVE")
            check_refusal(*publisher.publish())
            assert stream.take(1) == ["1"]  # readers are not kept out
            other.execute("ROLLBACK")
        other.close()
        assert "another program holds it locked" in server.log()
        assert publisher.again(2)[0] == 201
        assert publisher.publish()[0] == 201
        assert stream.take(2) == ["2", "3"]
    assert len(stored(tmp_path)) == 3
