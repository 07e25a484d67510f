import socket

import pytest

from eventstream.testing.deadline import wait_until
from eventstream_plugins.sqlite import peers as peers_module
from eventstream_plugins.sqlite.watch import Watch


@pytest.fixture
def opened(tmp_path):
    made = []

    def open_(path="events.db"):
        watch = Watch(str(tmp_path / path))
        made.append(watch)
        return watch

    yield open_
    for watch in made:
        watch.close()


def heard_by(watch):
    heads, payloads = [], []
    watch.listen(heads.append, payloads.append)
    return heads, payloads


def test_a_burst_beyond_the_kernel_s_queue_arrives_in_order(opened):
    speaking, listening = opened(), opened()
    _, payloads = heard_by(listening)
    words = [b"%d" % number for number in range(800)]
    assert sum(speaking.ephemeral(word) for word in words) == 0
    wait_until(lambda: len(payloads) == len(words))
    assert payloads == words


def test_an_empty_payload_is_heard(opened):
    speaking, listening = opened(), opened()
    _, payloads = heard_by(listening)
    speaking.ephemeral(b"")
    wait_until(lambda: payloads == [b""])


def test_the_largest_head_gets_through(opened):
    speaking, listening = opened(), opened()
    heads, _ = heard_by(listening)
    for head in range(1, 2001):
        speaking.grown(head)
    # Words for a full queue are dropped, since those in it wake the listener anyway; the next one gets through.
    wait_until(lambda: heads and not speaking.grown(2001) and max(heads) == 2001)
    assert heads == sorted(heads)


def test_those_who_come_later_are_found(opened):
    speaking = opened()
    for number in range(3):
        heads, payloads = heard_by(opened())
        speaking.grown(number + 1)
        speaking.ephemeral(b"x")
        wait_until(lambda heads=heads, payloads=payloads: heads and payloads)


def test_a_peer_that_stands_still_costs_nobody_else(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(peers_module, "BACKLOG", 20)
    speaking, listening = opened(), opened()
    _, payloads = heard_by(listening)
    stuck = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    stuck.bind(str(tmp_path / "events.db.watch" / "1-stuck.ephemeral"))
    sent = full = 0
    while not full:
        full = speaking.ephemeral(b"x" * 1000)
        sent += 1
        wait_until(lambda sent=sent: len(payloads) == sent)
    assert sent > 20
    assert full == 1
    stuck.close()


def test_what_a_killed_process_left_is_tidied_up(opened, tmp_path):
    folder = tmp_path / "events.db.watch"
    speaking, listening = opened(), opened()
    heads, _ = heard_by(listening)
    for kind in ("grown", "ephemeral"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
            left.bind(str(folder / f"1-dead.{kind}"))
    speaking.grown(1)
    speaking.ephemeral(b"x")
    assert not list(folder.glob("1-dead.*"))
    wait_until(lambda: heads == [1])


def test_a_peer_that_ends_while_known(opened, tmp_path):
    speaking, listening = opened(), opened()
    heads, _ = heard_by(listening)
    left = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    left.bind(str(tmp_path / "events.db.watch" / "1-dead.grown"))
    speaking.grown(1)
    assert left.recv(10) == b"1"
    left.close()
    speaking.grown(2)
    assert not list((tmp_path / "events.db.watch").glob("1-dead.*"))
    wait_until(lambda: 2 in heads)


def test_closing_ends_the_threads_and_removes_the_names(opened, tmp_path):
    watch = opened()
    heard_by(watch)
    threads = [ear._thread for ear in watch._ears]
    assert len(list((tmp_path / "events.db.watch").iterdir())) == 2
    watch.close()
    watch.close()
    assert not any(thread.is_alive() for thread in threads)
    assert list((tmp_path / "events.db.watch").iterdir()) == []


def test_closing_with_the_folder_gone(opened, tmp_path):
    watch = opened()
    heard_by(watch)
    threads = [ear._thread for ear in watch._ears]
    for path in list((tmp_path / "events.db.watch").iterdir()):
        path.unlink()
    watch.close()
    assert not any(thread.is_alive() for thread in threads)
