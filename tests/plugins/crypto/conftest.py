import itertools

import pytest
from crypto_api import Api, b64

from eventstream_plugins.keyring import FileKeyring


@pytest.fixture
def make_api(tmp_path):
    """A function that builds the API: options, fixed keys, and whether there is a keyring (a text: that one)."""
    apis, keyrings = [], []
    numbers = itertools.count()

    def make(*, keys=(), keyring=False, **options):
        if keyring:
            number = keyring if isinstance(keyring, str) else next(numbers)
            place = str(tmp_path / str(number) / "keyring.json")
            keyrings.append(FileKeyring.create({"path": place, "master": b64(bytes(range(32)))}))
        apis.append(Api({"private_keys": "return", **options}, keys, keyrings[-1] if keyring else None, str(tmp_path)))
        return apis[-1]

    yield make
    for one in apis:
        one.route.close()
    for one in keyrings:
        one.close()


@pytest.fixture
def api(make_api):
    """The API as a first try has it: keys in requests and in replies."""
    return make_api()
