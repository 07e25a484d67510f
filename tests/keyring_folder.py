"""A keyring in a folder, for the tests of this room."""

import json
from pathlib import Path

from eventstream.testing.keyring_contract import make_key
from eventstream.testing.services import PlainServices
from eventstream_plugins.keyring.file import FileKeyring
from eventstream_plugins.keyring.master import write_master

PATH, MASTER = "keys/keyring.json", "keys/master.key"


def closed(**options):
    return FileKeyring.create({"path": PATH, "master_file": MASTER} | options)


def opened(folder: Path, **options):
    ring = closed(**options)
    ring.open(PlainServices(folder))
    return ring


def prepare(folder: Path, keys=()):
    """Make a master key and a keyring with these keys; return the keyring's path."""
    write_master(folder / MASTER)
    ring = opened(folder)
    for key in keys:
        ring.add(key)
    ring.close()
    return folder / PATH


def edit(path: Path, change):
    """Change the file as somebody with an editor would."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


KEY = make_key("shop-1")
