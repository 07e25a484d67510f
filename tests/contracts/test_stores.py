"""Every installed store, held to the contract."""

from pathlib import Path

import pytest
import sqlite_commits

from eventstream import Store
from eventstream.hooks.catalogue import build_catalogue
from eventstream.hooks.manager import load_plugins
from eventstream.testing.store_contract import StoreContract

STORES = {name: offer.component for name, offer in build_catalogue(load_plugins()).offers["store"].items()}


def make(name: str, path: Path) -> Store:
    takes_path = "path" in getattr(STORES[name].Config, "__struct_fields__", ())
    return STORES[name].create({"path": str(path)} if takes_path else {})


def contract_of(name: str) -> type[StoreContract]:
    shared = STORES[name].shared
    members = {"shared": shared, "durable": shared, "make_store": lambda self, path: make(name, path)}
    return type(f"Test{name.title()}", (StoreContract,), members)


for _name in STORES:
    globals()[f"Test{_name.title()}"] = contract_of(_name)


@pytest.mark.parametrize("name", sorted(STORES))
def test_each_example_makes_a_store(name: str) -> None:
    for example in STORES[name].examples:
        assert STORES[name].create(example).durability in ("fsync", "os", "replicated", "memory")


class TestSqliteInPython(contract_of("sqlite")):  # type: ignore[misc]  # a class made above
    """The store's other way to commit: see its module `native`."""

    @pytest.fixture(autouse=True)
    def commits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sqlite_commits.choose("pure", monkeypatch)
