"""Schema files of one folder, found by name or by `$id`; nothing is fetched from anywhere else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urldefrag

from eventstream_plugins.validate.dialects import SchemaError

BASE = "file://schemas/"  # files are known by their names under this; nothing is ever opened by it


class Folder:
    """The schema files of one folder. References never leave it."""

    def __init__(self, path: Path) -> None:
        """Take the folder; nothing is read yet."""
        self.path = path.resolve()
        self._ids: dict[str, str] | None = None

    def uri(self, name: str) -> str:
        """Return the URI a file of this folder is known by."""
        return BASE + quote(name)

    def load(self, name: str) -> Any:
        """Return a file's parsed JSON, the caller's own; raises SchemaError that says what is wrong."""
        path = (self.path / name).resolve()
        if not path.is_relative_to(self.path):
            raise SchemaError(f"{name} lies outside the schema's own folder")
        try:
            return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
        except OSError as error:
            raise SchemaError(f"{name} cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise SchemaError(f"{name} is not JSON: {error}") from None

    def find(self, uri: str) -> Any:
        """Return the schema that a reference's URI means: a file's place, or its `$id`."""
        if uri.startswith(BASE):
            return self.load(unquote(uri.removeprefix(BASE)))
        if self._ids is None:
            self._ids = dict(self._list_ids())
        if uri not in self._ids:
            raise SchemaError(f"{uri} is not in the schema's folder, and nothing is fetched from elsewhere")
        return self.load(self._ids[uri])

    def _list_ids(self) -> Iterator[tuple[str, str]]:
        for path in sorted(self.path.glob("*.json")):
            try:
                schema = self.load(path.name)
            except SchemaError:
                continue  # it matters only to a reference, which then says that it finds nothing
            ident = (schema.get("$id") or schema.get("id")) if isinstance(schema, dict) else None
            if isinstance(ident, str):
                yield urldefrag(ident).url, path.name


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return mapping
