"""The official JSON Schema test suite: our verdicts, jsonschema's, and the suite's own are the same.

The suite comes in jsonschema's source distribution and is fetched through pip once, then kept in
pytest's cache.
"""

import copy
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import jsonschema
import pytest
from jsonschema_specifications import REGISTRY
from referencing.exceptions import NoSuchResource

from eventstream_plugins.validate.dialects import DRAFTS, SchemaError
from eventstream_plugins.validate.folder import Folder
from eventstream_plugins.validate.schema import Schema

SDIST = "jsonschema-4.26.0"
FOLDERS = {2020: "draft2020-12", 2019: "draft2019-09", 7: "draft7", 6: "draft6", 4: "draft4"}
PLAIN = {
    2020: jsonschema.Draft202012Validator,
    2019: jsonschema.Draft201909Validator,
    7: jsonschema.Draft7Validator,
    6: jsonschema.Draft6Validator,
    4: jsonschema.Draft4Validator,
}
# Groups we refuse when the schema is loaded, and why.
REFUSED = {
    "schema that uses custom metaschema with with no validation vocabulary": "a $schema of one's own",
    "ignore unrecognized optional vocabulary": "a $schema of one's own",
}


@pytest.fixture(scope="session")
def suite(pytestconfig):
    """Return the folder with `tests/` and `remotes/`."""
    cache = Path(pytestconfig.cache.mkdir("json-schema-suite"))
    archive = cache / f"{SDIST}.tar.gz"
    if not archive.exists():
        wanted = ["download", "--no-binary", "jsonschema", "--no-deps", "jsonschema==4.26.0", "--dest", str(cache)]
        pip = [sys.executable, "-m", "pip", *wanted]
        done = subprocess.run(pip, check=False, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"pip could not fetch {SDIST}, which holds the suite:\n{done.stderr[-2000:]}"
    folder = cache / SDIST / "json"
    if not folder.is_dir():
        with tarfile.open(archive) as packed:
            packed.extractall(cache, filter="data")
    return folder


class SuiteFolder(Folder):
    """A group's schema under the name `group.json`, and the suite's remote files under their URIs."""

    def __init__(self, schema, remotes):
        super().__init__(Path())
        self.schema = schema
        self.remotes = remotes

    def load(self, name):
        assert name == "group.json"
        return copy.deepcopy(self.schema)

    def find(self, uri):
        path = self.remotes / uri.removeprefix("http://localhost:1234/")
        if not uri.startswith("http://localhost:1234/") or not path.is_file():
            raise SchemaError(f"{uri} is not here")
        return json.loads(path.read_text(encoding="utf-8"))


def groups(folder):
    for path in sorted(folder.glob("*.json")):
        if path.name == "format.json":  # "only an annotation by default": we assert formats on purpose
            continue
        for group in json.loads(path.read_text(encoding="utf-8")):
            yield path.name, group


def load(draft, suite, group):
    """Load a group's schema as ours; the suite names the dialect by its folder where `$schema` is absent."""
    schema = group["schema"]
    if isinstance(schema, dict) and "$schema" not in schema:
        uri = next(uri for uri, dialect in DRAFTS.items() if dialect.number == draft)
        schema = {"$schema": uri, **schema}
    return Schema(SuiteFolder(schema, suite / "remotes"), "group.json")


@pytest.mark.parametrize("draft", FOLDERS)
def test_required_tests(suite, draft):
    wrong, counted = [], 0
    for name, group in groups(suite / "tests" / FOLDERS[draft]):
        try:
            schema = load(draft, suite, group)
        except SchemaError as error:
            if group["description"] not in REFUSED:
                wrong.append((name, group["description"], str(error)))
            continue
        for test in group["tests"]:
            counted += 1
            data = test["data"]
            verdict = schema.is_valid(data)
            if verdict is not test["valid"]:
                wrong.append((name, group["description"], test["description"], verdict))
            if not verdict:
                faults = schema.faults(data)
                if not faults or not all(fault.pointer.startswith("/data") for fault in faults):
                    wrong.append((name, group["description"], test["description"], faults))
            # The explainer may leave a refusal to the compiled judge, but never refuse on its own.
            elif schema._explained and list(schema._explainer.iter_errors(data)):
                wrong.append((name, group["description"], test["description"], "explained, though valid"))
    assert wrong == []
    assert counted > 500


@pytest.mark.parametrize("draft", FOLDERS)
def test_jsonschema_itself_agrees(suite, draft):
    specification = next(dialect.specification for dialect in DRAFTS.values() if dialect.number == draft)

    def retrieve(uri):
        path = suite / "remotes" / uri.removeprefix("http://localhost:1234/")
        if not path.is_file():
            raise NoSuchResource(uri)
        return specification.create_resource(json.loads(path.read_text(encoding="utf-8")))

    registry = REGISTRY.combine(type(REGISTRY)(retrieve=retrieve))
    wrong = []
    for name, group in groups(suite / "tests" / FOLDERS[draft]):
        if group["description"] in REFUSED:
            continue
        schema = load(draft, suite, group)
        plain = PLAIN[draft](group["schema"], registry=registry)
        wrong += [
            (name, group["description"], test["description"])
            for test in group["tests"]
            if plain.is_valid(test["data"]) is not schema.is_valid(test["data"])
        ]
    assert wrong == []


@pytest.mark.parametrize("draft", FOLDERS)
def test_formats(suite, draft):
    wrong, counted = [], 0
    for name, group in groups(suite / "tests" / FOLDERS[draft] / "optional" / "format"):
        try:
            schema = load(draft, suite, group)
        except SchemaError as error:
            wrong.append((name, group["description"], str(error)))
            continue
        for test in group["tests"]:
            counted += 1
            verdict = schema.is_valid(test["data"])
            explained = not list(schema._explainer.iter_errors(test["data"]))
            if not verdict is explained is test["valid"]:
                wrong.append((name, group["description"], test["description"], verdict, explained))
    assert wrong == []
    assert counted > 100
