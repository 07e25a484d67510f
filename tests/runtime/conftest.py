import pytest
from runtime.hub_room import Room


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
