"""Building components from their options, with every fault at its place."""

from __future__ import annotations

from typing import Any

import msgspec

from eventstream.components.component import NoConfig
from eventstream.components.key import Keys
from eventstream.config.draft import Draft
from eventstream.config.loader import Path
from eventstream.config.typed import mend
from eventstream.errors import ConfigError, EventStreamError, Problem
from eventstream.hooks.catalogue import Catalogue


class Builder:
    """Builds the components that a configuration names."""

    def __init__(self, draft: Draft, catalogue: Catalogue, folder: str, keys: Keys) -> None:
        """Faults go into `draft`; relative paths start at `folder`."""
        self.draft = draft
        self.catalogue = catalogue
        self.folder = folder
        self.keys = keys  # those that components may name

    def names(self, kind: str) -> str:
        """Return a hint: what is installed of this kind."""
        return f"installed {kind}s: {', '.join(sorted(self.catalogue.offers[kind])) or 'none'}"

    def named(self, kind: str, entry: Any, path: Path) -> tuple[str, Any, Path] | None:
        """Split a bare name or one-key map into name, options and the options' path."""
        if isinstance(entry, str):
            return entry, None, path
        if isinstance(entry, dict) and len(entry) == 1:
            ((name, options),) = entry.items()
            return name, options, (*path, name)
        hint = self.names(kind)
        if isinstance(entry, dict) and len(entry) > 1:
            hint = f"each {kind} is an entry of its own, its options in a mapping below its name"
        article = "an" if kind == "output" else "a"
        self.draft.error(path, f"{article} {kind} is a name, or one name with its options", hint)
        return None

    def build(self, kind: str, name: str, options: Any, path: Path) -> Any:
        """Return the component, or None once its faults are in the draft."""
        offer = self.catalogue.get(kind, name)
        if offer is None:
            self.draft.error(path, f"unknown {kind} {name}", self.catalogue.nearest(kind, name), key=True)
            return None
        faults = self.draft.faults
        target = offer.component.Config
        if target is NoConfig and options:
            self.draft.error(path, f"{name} takes no options", f"write - {name}")
            return None
        try:
            mended = mend(self.draft, {} if options is None else options, target, path)
        except TypeError as error:  # msgspec's word for a type it cannot use: a fault of the plugin's author
            self.draft.error(path, f"{name}, from {offer.origin}, declares a Config that cannot be used: {error}")
            return None
        if self.draft.faults > faults:
            return None
        try:
            component = offer.component.create(None if options is None else mended)
            found = list(component.check(self.folder, self.keys))
        except ConfigError as error:
            found, component = list(error.problems), None
        except (ValueError, msgspec.ValidationError, EventStreamError) as error:
            found, component = [str(error)], None
        for fault in found:
            self._report(name, fault, path)
        return component if self.draft.faults == faults else None

    def _report(self, name: str, fault: str | Problem, path: Path) -> None:
        problem = Problem(fault) if isinstance(fault, str) else fault
        parts = [part.replace("~1", "/").replace("~0", "~") for part in problem.pointer.split("/")[1:]]
        where = (*path, *(int(part) if part.isdigit() else part for part in parts))
        message = f"{name}: {problem.message}"
        if problem.file:  # a fault inside another file, such as a schema: say where in there
            message = f"{name}: {problem.file}:{problem.line}:{problem.column}: {problem.message}"
        add = self.draft.error if problem.severity == "error" else self.draft.warn
        add(where, message, problem.hint, key=not parts)
