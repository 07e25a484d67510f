"""The keyring `file`, held to the contract."""

from pathlib import Path

from eventstream import Keyring
from eventstream.testing.keyring_contract import KeyringContract
from eventstream_plugins.keyring.file import FileKeyring
from eventstream_plugins.keyring.master import write_master


class TestFile(KeyringContract):
    def make_keyring(self, folder: Path) -> Keyring:
        if not (folder / "keys" / "master.key").exists():
            write_master(folder / "keys" / "master.key")
        return FileKeyring.create({"path": "keys/keyring.json", "master_file": "keys/master.key"})
