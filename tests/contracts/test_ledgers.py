"""The ledger beside every installed store, held to the contract."""

from pathlib import Path

from eventstream import Store
from eventstream.hooks.catalogue import build_catalogue
from eventstream.hooks.manager import load_plugins
from eventstream.testing.ledger_contract import LedgerContract

STORES = {name: offer.component for name, offer in build_catalogue(load_plugins()).offers["store"].items()}


def make(name: str, path: Path) -> Store:
    takes_path = "path" in getattr(STORES[name].Config, "__struct_fields__", ())
    return STORES[name].create({"path": str(path)} if takes_path else {})


def contract_of(name: str) -> type[LedgerContract]:
    members = {"shared": STORES[name].shared, "make_store": lambda self, path: make(name, path)}
    return type(f"Test{name.title()}", (LedgerContract,), members)


for _name in STORES:
    globals()[f"Test{_name.title()}"] = contract_of(_name)
