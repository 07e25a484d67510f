import pytest
from runtime.hub_room import Direct, Room

from eventstream.runtime import sinks


@pytest.fixture(autouse=True)
def quotas_hold(monkeypatch):
    """Let `Direct` connections be short where a test wants it."""
    monkeypatch.setattr(sinks, "send_each", Direct.send_each)


@pytest.fixture
def make_room():
    """A function that makes a `Room`; each is emptied, and looked over, at the end."""
    rooms = []

    def make(**options):
        rooms.append(Room(**options))
        return rooms[-1]

    yield make
    for room in rooms:
        room.close()


@pytest.fixture
def room(make_room):
    return make_room()
