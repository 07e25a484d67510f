"""An older copy of the history is put back: who had read on is told `gap`, who had not notices nothing."""

from pathlib import Path

import pytest
from crash.stream import Publisher, Stream

from eventstream.testing.services import PlainServices
from eventstream_plugins.sqlite import Sqlite


def back_up(database, target):
    store = Sqlite.create({"path": str(database)})
    store.read_only = True
    store.open(PlainServices(database.parent))
    try:
        store.backup(str(target))
    finally:
        store.close()


def put_back(database, copy):
    for left in ("-wal", "-shm"):
        Path(f"{database}{left}").unlink(missing_ok=True)
    copy.replace(database)


@pytest.mark.parametrize("restarted", [False, True], ids=["same epoch", "an epoch further"])
def test_a_backup_is_put_back_under_live_subscribers(serve, tmp_path, restarted):
    database = tmp_path / "data" / "events.db"
    server = serve(workers=2)
    with Publisher(server.port) as publisher:
        for _ in range(20):
            publisher.publish()
        back_up(database, tmp_path / "copy.db")
        if restarted:
            server.stop()
            server.start()
    with Publisher(server.port) as later, Stream(server.port, after="earliest") as early:
        later.count = 20
        for _ in range(10):
            later.publish()
        with Stream(server.port, after="earliest") as live:
            assert live.take(30) == [str(number) for number in range(1, 31)]
        assert early.take(15) == [str(number) for number in range(1, 16)]
    cursors = publisher.receipts | later.receipts
    server.stop()
    put_back(database, tmp_path / "copy.db")
    server.start()

    with Publisher(server.port) as publisher:
        publisher.count = 100
        for _ in range(3):
            assert publisher.publish()[0] == 201
        new = ["101", "102", "103"]
        expected = {
            early.place: (0, [str(number) for number in range(16, 21)] + new),
            cursors["20"]: (0, new),
            cursors["21"]: (1, new),
            live.place: (1, new),
        }
        reached = []
        for place, (gaps, events) in expected.items():
            with Stream(server.port, last=place) as stream:
                assert stream.take(len(events)) == events, place
                assert len(stream.gaps) == gaps, place
                if gaps:
                    (gap,) = stream.gaps
                    assert gap["reason"] == "epoch"
                    assert gap["requested"] == place
                    assert gap["resumed_from"].rpartition("-")[2] == "20"
            reached.append(stream.place)
        assert publisher.publish()[0] == 201
        for place in reached:  # where each has got to is good
            with Stream(server.port, last=place) as stream:
                assert stream.take(1) == ["104"]
                assert stream.gaps == []
