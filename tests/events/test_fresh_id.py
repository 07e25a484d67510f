import os
import re

from eventstream.events.fresh_id import fresh_id


def test_no_id_is_given_twice():
    found = [fresh_id() for _ in range(1000)]
    assert len(set(found)) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in found)


def test_a_forked_process_gives_ids_of_its_own():
    fresh_id()  # some are ready
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, "".join(fresh_id() for _ in range(100)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    theirs = {text[at : at + 32] for at in range(0, len(text), 32)}
    assert len(theirs) == 100
    assert not theirs & {fresh_id() for _ in range(100)}
