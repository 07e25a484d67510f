import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def packages_of(package, folder):
    folders = {file.parent.relative_to(folder) for file in folder.rglob("*.py")}
    return {".".join([package, *one.parts]) for one in folders}


def test_every_package_is_listed():
    listed = set(PYPROJECT["tool"]["setuptools"]["packages"])
    assert listed == packages_of("eventstream", ROOT / "eventstream") | packages_of(
        "eventstream_plugins", ROOT / "plugins"
    )


def is_plugin(file):
    """Tell plugins from what they share."""
    module = file / "__init__.py" if file.is_dir() else file
    return module.suffix == ".py" and module.exists() and "@hookimpl" in module.read_text()


def test_every_plugin_is_an_entry_point():
    files = {file.stem for file in (ROOT / "plugins").iterdir() if is_plugin(file)}
    declared = PYPROJECT["project"]["entry-points"]["eventstream"]
    assert declared == {name: f"eventstream_plugins.{name}" for name in files}


@pytest.mark.parametrize("name", PYPROJECT["project"]["entry-points"]["eventstream"])
def test_every_plugin_is_installed(name):
    assert len(entry_points(group="eventstream", name=name)) == 1


def test_the_files_the_package_names_exist():
    project = PYPROJECT["project"]
    assert (ROOT / project["readme"]).is_file()
    assert "Apache License" in (ROOT / project["license-files"][0]).read_text()
