"""From text to settings: read, judge everything, build every component, and report all faults at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from eventstream.components.output import Output
from eventstream.components.store import Keep, Store
from eventstream.config.components import Builder
from eventstream.config.draft import Draft, nearest
from eventstream.config.interpolate import Interpolation
from eventstream.config.keys import read_keys
from eventstream.config.lint import lint_outputs, lint_pipelines, lint_store
from eventstream.config.loader import Path, parse
from eventstream.config.model import Bind, Server, Settings
from eventstream.config.pipelines import read_pipelines
from eventstream.config.typed import read
from eventstream.errors import ConfigError, EventStreamError
from eventstream.hooks.catalogue import Catalogue

VERSION = 1
SECTIONS = ("version", "server", "store", "keys", "pipelines", "outputs")
_COMMA_LISTS: tuple[Path, ...] = (("cors", "origins"), ("proxies",), ("hosts",))


def load_settings(
    text: str,
    file: str,
    catalogue: Catalogue,
    environ: Mapping[str, str],
    *,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Return the checked settings; raises ConfigError with every problem at once.

    `file` names the text in problems, and its folder is where relative paths start. `overrides` are
    fields of `server` given on the command line (`{"bind": "127.0.0.1:8000"}`); None means not given.
    Components are built, never opened.
    """
    document = parse(text, file)
    folder = str(FilePath(file).resolve().parent)
    interpolation = Interpolation(document, folder, environ)
    values = interpolation.run()
    draft = Draft(document, interpolation.sources, interpolation.broken)
    if not isinstance(values, dict):
        draft.error((), "a configuration is a mapping", f"it starts with version: {VERSION}")
        raise ConfigError(draft.sorted())
    _judge_sections(draft, values)
    keys = read_keys(draft, values.get("keys"))
    builder = Builder(draft, catalogue, folder, keys)
    server = _read_server(draft, values, overrides or {}, folder)
    store, keep = _read_store(builder, values.get("store"), server)
    pipelines = read_pipelines(builder, values.get("pipelines"))
    specs = lint_pipelines(draft, pipelines)
    outputs = _read_outputs(builder, values.get("outputs"))
    problems = draft.sorted()
    if server is None or store is None or any(problem.severity == "error" for problem in problems):
        raise ConfigError(problems)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Settings(
        server=server,
        store=store,
        keep=keep,
        keys=keys,
        pipelines=specs,
        outputs=outputs,
        text=text,
        digest=digest,
        file=file,
        folder=folder,
        warnings=problems,
    )


def _judge_sections(draft: Draft, values: dict[str, Any]) -> None:
    for key in values:
        if key not in SECTIONS:
            draft.error((key,), f"unknown section {key}", nearest(key, SECTIONS, "sections"), key=True)
    if "version" not in values:
        draft.error((), "version is missing", f"add version: {VERSION}")
    elif type(values["version"]) is not int or values["version"] != VERSION:
        draft.error(("version",), "this version of the format is not known", f"write version: {VERSION}")
    for section in ("store", "pipelines"):
        if values.get(section) is None:
            hint = {"store": "for example store: {sqlite: {path: data/events.db}}", "pipelines": "at least one"}
            draft.error((section,), f"section {section} is missing", hint[section], key=True)


def _read_server(draft: Draft, values: dict[str, Any], overrides: Mapping[str, Any], folder: str) -> Server | None:
    given = values.get("server")
    fields = {} if given is None else given
    if isinstance(fields, dict):
        chosen = {name: value for name, value in overrides.items() if value is not None}
        draft.options.update({("server", name): f"--{name}" for name in chosen})
        fields = fields | chosen
        for path in _COMMA_LISTS:
            fields = _split(fields, path)
        _judge_reach(draft, fields)
    server: Server | None = read(draft, fields, Server, ("server",))
    if server is not None and server.tls is not None:
        for name in ("cert", "key"):
            _judge_file(draft, FilePath(folder) / getattr(server.tls, name), ("server", "tls", name))
    return server


def _judge_file(draft: Draft, path: FilePath, place: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        draft.error(place, f"cannot read {path}: {error.strerror}", "relative paths start at this file's folder")


def _judge_reach(draft: Draft, fields: dict[str, Any]) -> None:
    """Refuse an open server on the network: no file says `public` by accident."""
    try:
        bind = Bind.parse(fields.get("bind", "127.0.0.1:3000"))
    except ValueError:  # reported with the server's other fields
        return
    if not bind.loopback and fields.get("public") is None:
        draft.error(
            ("server", "bind"),
            f"{bind} can be reached from other machines, and nothing asks who is there",
            "bind to 127.0.0.1, or add to server: public: anyone may publish and subscribe",
        )


def _split(fields: dict[str, Any], path: Path) -> dict[str, Any]:
    """Split comma lists, so that one environment variable can hold several values."""
    name, rest = str(path[0]), path[1:]
    value = fields.get(name)
    if rest and isinstance(value, dict):
        return fields | {name: _split(value, rest)}
    if not rest and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return fields | {name: [part.strip() for one in value for part in one.split(",") if part.strip()]}
    return fields


def _read_store(builder: Builder, value: Any, server: Server | None) -> tuple[Store | None, Keep]:
    draft, path = builder.draft, ("store",)
    if value is None:
        return None, Keep()
    if not isinstance(value, dict):
        draft.error(path, "store: expected a mapping", "for example store: {sqlite: {path: data/events.db}}")
        return None, Keep()
    keep: Keep = read(draft, {} if value.get("keep") is None else value["keep"], Keep, (*path, "keep")) or Keep()
    names = [name for name in value if name != "keep"]
    if len(names) != 1:
        found = f"{len(names)} stores: {', '.join(names)}" if names else "no store"
        draft.error(path, f"{found}, expected one", builder.names("store"), key=True)
        return None, keep
    store: Store | None = builder.build("store", names[0], value[names[0]], (*path, names[0]))
    if store is not None:
        try:
            store.keep(keep)
        except (ValueError, EventStreamError) as error:
            draft.error((*path, "keep"), str(error), key=True)
        lint_store(draft, store, server)
    return store, keep


def _read_outputs(builder: Builder, value: Any) -> list[Output]:
    draft = builder.draft
    if value is not None and not isinstance(value, list):
        draft.error(("outputs",), "outputs: expected a list", "for example outputs: [sse, websocket]")
        return []
    outputs: list[tuple[Path, Output]] = []
    for index, entry in enumerate(value or []):
        path: Path = ("outputs", index)
        named = builder.named("output", entry, path)
        if named is not None:
            built = builder.build("output", named[0], named[1], named[2])
            if built is not None:
                outputs.append((named[2], built))
    lint_outputs(draft, outputs)
    return [output for _, output in outputs]
