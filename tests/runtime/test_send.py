import errno
import os
import socket
import subprocess
import sys
from array import array

import pytest

from eventstream.runtime import send

WAYS = {"pure": send.send_each_pure, "compiled": getattr(send._send, "send_each", None)}


@pytest.fixture(params=WAYS)
def send_each(request):
    if WAYS[request.param] is None:
        pytest.skip("not compiled here")
    return WAYS[request.param]


@pytest.fixture
def pairs():
    made = [socket.socketpair() for _ in range(5)]
    for pair in made:
        for end in pair:
            end.setblocking(False)
    yield made
    for pair in made:
        for end in pair:
            end.close()


def fds_of(pairs):
    return array("i", [ours.fileno() for ours, _ in pairs])


def test_all_get_the_same(send_each, pairs):
    for data in (b"one", b"", b"two"):
        assert send_each(fds_of(pairs), data) == []
    assert [theirs.recv(100) for _, theirs in pairs] == [b"onetwo"] * 5
    assert send_each(array("i"), b"x") == []


def test_one_that_takes_a_part_says_how_much_and_one_that_is_full_none(send_each, pairs):
    data = os.urandom(1 << 22)
    short = send_each(fds_of(pairs[:2]), data)
    assert [index for index, _ in short] == [0, 1]
    for (_, sent), (_, theirs) in zip(short, pairs, strict=False):
        assert 0 < sent < len(data)
        assert theirs.recv(1 << 22, socket.MSG_PEEK) == data[: len(theirs.recv(1 << 22, socket.MSG_PEEK))]
    assert send_each(fds_of(pairs[:3]), b"more") == [(0, 0), (1, 0)]
    assert pairs[2][1].recv(100) == b"more"


def test_a_broken_one_says_why_and_keeps_nobody(send_each, pairs):
    pairs[1][1].close()
    fds = fds_of(pairs)
    fds[3] = 1 << 20  # nobody's
    assert send_each(fds, b"x") == [(1, -errno.EPIPE), (3, -errno.EBADF)]
    assert [theirs.recv(100) for _, theirs in (pairs[0], pairs[2], pairs[4])] == [b"x"] * 3


def test_they_are_never_waited_for(pairs):
    if WAYS["compiled"] is None:
        pytest.skip("not compiled here")
    ours, _ = pairs[0]
    ours.setblocking(True)
    assert WAYS["compiled"](fds_of(pairs[:1]), bytes(1 << 22))[0][1] > 0


def test_the_environment_chooses_python():
    code = "from eventstream.runtime import send; print(send.COMPILED, send.send_each is send.send_each_pure)"
    found = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "EVENTSTREAM_PURE": "1"}, capture_output=True, check=True
    )
    assert found.stdout == b"False True\n"
