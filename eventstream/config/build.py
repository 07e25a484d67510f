"""From text to settings: read, judge everything, build every component, and report all faults at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from eventstream.components.chain import Chain
from eventstream.components.key import Keys
from eventstream.components.keyring import KnownKeys
from eventstream.components.output import Output, Route
from eventstream.components.store import Keep, Store
from eventstream.config.at_rest import read_at_rest
from eventstream.config.auth import read_auth
from eventstream.config.components import Builder
from eventstream.config.draft import Draft, nearest
from eventstream.config.interpolate import Interpolation
from eventstream.config.keys import read_keyring, read_keys
from eventstream.config.lint import lint_outputs, lint_pipelines, lint_store
from eventstream.config.loader import Path, parse
from eventstream.config.model import Bind, Server, Settings
from eventstream.config.pipelines import read_pipelines
from eventstream.config.typed import read
from eventstream.errors import ConfigError, EventStreamError
from eventstream.hooks.catalogue import Catalogue

VERSION = 1
SECTIONS = ("version", "server", "store", "keys", "keyring", "auth", "pipelines", "outputs", "routes")
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
    builder = Builder(draft, catalogue, folder, Keys(keys))
    keyring, kept = read_keyring(builder, values.get("keyring"))
    if values.get("keyring") is not None:
        builder.keys = KnownKeys((*keys, *kept))
    server = _read_server(draft, values, overrides or {}, folder)
    store, keep, chain = _read_store(builder, values.get("store"), server)
    at_rest = read_at_rest(builder, values.get("store"))
    pipelines = read_pipelines(builder, values.get("pipelines"))
    specs = lint_pipelines(draft, pipelines)
    outputs = _read_outputs(builder, values.get("outputs"))
    routes = _read_routes(builder, values.get("routes"))
    auth = read_auth(builder, values, pipelines)
    problems = draft.sorted()
    if server is None or store is None or any(problem.severity == "error" for problem in problems):
        raise ConfigError(problems)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Settings(
        server=server,
        store=store,
        keep=keep,
        at_rest=at_rest,
        chain=chain,
        keys=keys,
        keyring=keyring,
        pipelines=specs,
        outputs=outputs,
        routes=routes,
        auth=auth,
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
        _judge_reach(draft, fields, asked="auth" in values)
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


def _judge_reach(draft: Draft, fields: dict[str, Any], *, asked: bool) -> None:
    """Refuse an open server on the network: no file says `public` by accident. `asked`: the section `auth` decides."""
    if asked:
        if fields.get("public") is not None:
            draft.warn(("server", "public"), "public has no effect beside auth", "leave one of them out", key=True)
        return
    try:
        bind = Bind.parse(fields.get("bind", "127.0.0.1:3000"))
    except ValueError:  # reported with the server's other fields
        return
    if not bind.loopback and fields.get("public") is None:
        draft.error(
            ("server", "bind"),
            f"{bind} can be reached from other machines, and nothing asks who is there",
            "bind to 127.0.0.1, add a section auth, or add to server: public: anyone may publish and subscribe",
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


def _read_store(builder: Builder, value: Any, server: Server | None) -> tuple[Store | None, Keep, Chain | None]:
    draft, path = builder.draft, ("store",)
    if value is None:
        return None, Keep(), None
    if not isinstance(value, dict):
        draft.error(path, "store: expected a mapping", "for example store: {sqlite: {path: data/events.db}}")
        return None, Keep(), None
    keep: Keep = read(draft, {} if value.get("keep") is None else value["keep"], Keep, (*path, "keep")) or Keep()
    chain: Chain | None = None
    if "chain" in value:
        chain = read(draft, {} if value["chain"] is None else value["chain"], Chain, (*path, "chain"))
    names = [name for name in value if name not in ("keep", "at_rest", "chain")]
    if len(names) != 1:
        found = f"{len(names)} stores: {', '.join(names)}" if names else "no store"
        draft.error(path, f"{found}, expected one", builder.names("store"), key=True)
        return None, keep, chain
    store: Store | None = builder.build("store", names[0], value[names[0]], (*path, names[0]))
    if store is not None:
        try:
            store.keep(keep)
        except (ValueError, EventStreamError) as error:
            draft.error((*path, "keep"), str(error), key=True)
        store.chained = chain is not None
        lint_store(draft, store, server)
    return store, keep, chain


def _read_outputs(builder: Builder, value: Any) -> list[Output]:
    outputs: list[tuple[Path, Output]] = _read_list(builder, "output", value, "for example outputs: [sse, websocket]")
    lint_outputs(builder.draft, outputs)
    return [output for _, output in outputs]


def _read_routes(builder: Builder, value: Any) -> list[Route]:
    return [route for _, route in _read_list(builder, "route", value, builder.names("route"))]


def _read_list(builder: Builder, kind: str, value: Any, example: str) -> list[tuple[Path, Any]]:
    """Build each entry of a list of components; return those without a fault, with their places."""
    if value is not None and not isinstance(value, list):
        builder.draft.error((f"{kind}s",), f"{kind}s: expected a list", example)
        return []
    found: list[tuple[Path, Any]] = []
    for index, entry in enumerate(value or []):
        named = builder.named(kind, entry, (f"{kind}s", index))
        built = builder.build(kind, *named) if named is not None else None
        if named is not None and built is not None:
            found.append((named[2], built))
    return found
