"""Writes the generated regions of the pages under docs/reference.

`python docs/generate.py` writes them; the tests compare. A region stands between the comments
`<!-- begin NAME -->` and `<!-- end NAME -->`; whatever stands around it is written by hand. Regions
come from the same declarations that the server runs on: Config types, docstrings, hook specifications.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import yaml

from eventstream.cli.main import BUILT_IN
from eventstream.components.chain import Chain
from eventstream.components.cipher import AtRestConfig
from eventstream.components.command import Command
from eventstream.components.component import Duration, Rate, Size
from eventstream.components.store import Keep
from eventstream.config.model import Bind, Network, Origin, Server
from eventstream.hooks.catalogue import Catalogue, Offer, build_catalogue
from eventstream.hooks.manager import load_plugins
from eventstream.telemetry.metrics import Metrics
from eventstream_plugins.crypto.batch import ALL
from eventstream_plugins.crypto.fields import Binary, Ciphertext, GivenKey, Lifetime, Nonce, Signature
from eventstream_plugins.crypto.operation import Reply

DOCS = Path(__file__).parent
SOURCE = DOCS.parent / "eventstream"
OURS = ("eventstream.", "eventstream_plugins.")
REGION = re.compile(r"(<!-- begin (\S+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)
WORDS: dict[Any, str] = {
    str: "text", int: "whole number", float: "number", bool: "true or false", Duration: "duration", Size: "size",
    Rate: "rate", Bind: "address", Origin: "origin", Network: "network", NoneType: "nothing",
    Binary: "base64", Ciphertext: "base64", Nonce: "base64", Signature: "base64", GivenKey: "base64 or `{kid}`",
    Lifetime: "duration",
}  # fmt: skip


# -- configuration ------------------------------------------------------------------------------------


def type_words(target: Any) -> str:
    """Say in words what a declared type takes."""
    parts = [type_words(one) for one in get_args(target) if isinstance(one, type) or get_origin(one) is not None]
    match get_origin(target):
        case None:
            struct = struct_of(target)
            return f"map of {', '.join(_fields(struct))}" if struct else WORDS.get(target, "any value")
        case origin if origin is Annotated:
            return parts[0]
        case origin if origin is Literal:
            return " or ".join(f"`{one}`" for one in get_args(target))
        case origin if origin is list:
            return f"list of {parts[0]}"
        case origin if origin is dict:
            return f"map of {parts[0]} to {parts[1]}"
        case _:
            return " or ".join(one for one in parts if one != "nothing")


def _fields(struct: type[msgspec.Struct]) -> list[str]:
    return [f"`{field.encode_name}`" for field in msgspec.structs.fields(struct)]


def meta_of(target: Any) -> msgspec.Meta | None:
    """Return the description of a declared type, where it has one."""
    found = [one for one in get_args(target)[1:] if isinstance(one, msgspec.Meta) and one.description]
    return found[-1] if get_origin(target) is Annotated and found else None


def struct_of(target: Any) -> type[msgspec.Struct] | None:
    """Return the struct that a field holds, alone or beside None."""
    if get_origin(target) is Annotated:
        return struct_of(get_args(target)[0])
    if get_origin(target) in (Union, UnionType):
        return next((struct for struct in map(struct_of, get_args(target)) if struct), None)
    return target if isinstance(target, type) and issubclass(target, msgspec.Struct) else None


def written(value: Any) -> str:
    """Write a value as in YAML, in one line."""
    plain = msgspec.to_builtins(value, enc_hook=lambda one: one.written() if hasattr(one, "written") else str(one))
    if isinstance(value, Duration | Size | Rate):
        plain = value.written()
    if plain is None:
        return "unset"
    text = yaml.safe_dump(plain, default_flow_style=True, width=1000).strip().removesuffix("\n...")
    return f"`{text}`"


def field_rows(struct: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield name, type, default and description of each field, nested ones behind a dot."""
    for field in msgspec.structs.fields(struct):
        name = f"{prefix}{field.encode_name}"
        meta = meta_of(field.type)
        description = (meta.description if meta else "") or ""
        inner = struct_of(field.type)
        if inner is not None and get_origin(field.type) is Annotated:
            yield f"`{name}`", "section", "", description
            yield from field_rows(inner, f"{name}.")
            continue
        if meta and meta.examples:
            description += f" Example: {', '.join(written(one) for one in meta.examples[:2])}."
        yield f"`{name}`", type_words(field.type), default_of(field), description.strip()


def default_of(field: msgspec.structs.FieldInfo) -> str:
    """Write a field's default."""
    if field.required:
        return "required"
    factory = field.default_factory
    return written(field.default if factory is msgspec.NODEFAULT else factory())


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Write a Markdown table."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in lines)


def options(target: Any) -> str:
    """Describe the options of a component, or of a section of the file."""
    struct = struct_of(target)
    if struct is None:
        meta = meta_of(target)
        return f"Takes a {type_words(target)}. {(meta.description if meta else '') or ''}\n"
    rows = list(field_rows(struct))
    return table(("option", "takes", "default", "meaning"), rows) if rows else "No options.\n"


# -- components ---------------------------------------------------------------------------------------


def component(offer: Offer) -> str:
    """Write the section of one component."""
    kind, found = offer.kind, offer.component
    parts = [f"## {offer.name}\n", f"{textwrap.dedent(_doc(found))}\n", options(found.Config)]
    if kind == "step" and found.mark is None:
        parts.append(_on_error(found))
    for example in found.examples:
        entry = {offer.name: example} if example else offer.name
        value: Any = {kind: {offer.name: example or {}}} if kind in ("store", "keyring") else [entry]
        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)
        parts.append(f"```yaml{f' {kind}' if isinstance(value, list) else ''}\n{text}```\n")
    return "\n".join(parts)


def _on_error(step: Any) -> str:
    words = "`on_error` may only be `reject`" if step.fail_closed else "`on_error` is `reject` (default) or `drop`"
    request = " It needs the request: an event that came over a WebSocket is refused." if step.needs_request else ""
    return f"{words}.{request}\n"


def _doc(found: Any) -> str:
    first, _, rest = (found.__doc__ or "").strip().partition("\n")
    return f"{first}\n{textwrap.dedent(rest)}".strip()


def components(kind: str) -> str:
    """Write the sections of all built-in components of a kind."""
    offers = [offer for offer in catalogue().offers[kind].values() if offer.component.__module__.startswith(OURS)]
    return "\n".join(component(offer) for offer in sorted(offers, key=lambda one: one.name))


def catalogue() -> Catalogue:
    """Return what is installed."""
    return build_catalogue(load_plugins())


# -- commands -----------------------------------------------------------------------------------------


class Recorder(argparse.ArgumentParser):
    """Keeps what a command declares; argparse's own help differs between Python versions."""

    def __init__(self, **given: Any) -> None:
        """Start empty."""
        super().__init__(**given)
        self.rows: list[tuple[str, str]] = []
        self.actions: dict[str, Recorder] = {}

    def add_subparsers(self, **given: Any) -> Any:
        """Note the actions of a command that has some."""
        action = super().add_subparsers(**given)
        self.actions = action.choices
        return action

    def add_argument(self, *names: Any, **given: Any) -> argparse.Action:
        """Note one argument."""
        if names and "-h" not in names:
            words = [str(name) for name in names]
            value = given.get("metavar") or "|".join(given.get("choices") or ())
            if not words[0].startswith("-"):
                words = [f"[{value or words[0].upper()}]" if given.get("nargs") == "?" else value or words[0].upper()]
            elif given.get("action") is None:
                words = [f"{name} {value or name.lstrip('-').upper()}" for name in words]
            self.rows.append((f"`{', '.join(words)}`", str(given.get("help") or "")))
        return super().add_argument(*names, **given)


def commands() -> str:
    """Write the sections of all commands, built in or offered by the built-in plugins."""
    offered = [offer.component for offer in catalogue().offers["command"].values()]
    known: list[type[Command]] = [*BUILT_IN, *(one for one in offered if one.__module__.startswith(OURS))]
    parts = []
    for command in sorted(known, key=lambda one: one.name):
        recorder = Recorder()
        command().arguments(recorder)
        parts.append(f"## eventstream {command.name}\n\n{_doc(command)}\n")
        if recorder.rows:
            parts.append(table(("argument", "meaning"), recorder.rows))
        for name, action in recorder.actions.items():
            parts.append(f"### eventstream {command.name} {name}\n\n{action.description}\n")
            parts.append(table(("argument", "meaning"), action.rows))
    return "\n".join(parts)


# -- hooks and the front door -------------------------------------------------------------------------


def hooks() -> str:
    """Write each hook with its exact signature."""
    tree = ast.parse((SOURCE / "hooks" / "specs.py").read_text())
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list]
    return "\n".join(f"## {node.name}\n\n```python\n{signature(node)}\n```\n\n{_prose(node)}" for node in found)


def signature(node: ast.FunctionDef) -> str:
    """Write a function's signature."""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{node.name}({ast.unparse(node.args)}){returns}"


def _prose(node: ast.FunctionDef) -> str:
    text, _, example = (ast.get_docstring(node) or "").partition("\nExample::\n")
    return f"{text.strip()}\n\n```python\n{textwrap.dedent(example).strip()}\n```\n"


def front_door() -> str:
    """Write every name that plugins may import."""
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    names = [
        (alias.asname or alias.name, alias.name, node.module or "")
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    parts = []
    for name, original, module in sorted(names, key=lambda one: one[0].lower()):
        text = SOURCE.joinpath(*module.split(".")[1:]).with_suffix(".py").read_text()
        node = _definition(ast.parse(text), original)
        parts.append(f"### `{name}`\n\n{_described(node, name, text.splitlines())}")
    return "\n".join(parts)


def _definition(module: ast.Module, name: str) -> ast.stmt:
    for node in module.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return node
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(one, ast.Name) and one.id == name for one in targets):
                return node
    raise LookupError(f"{name} is not defined where it is imported from")


def _described(node: ast.stmt, name: str, lines: list[str]) -> str:
    """Describe one name; fields are shown as they stand in the source, with their comments."""
    if isinstance(node, ast.FunctionDef):
        text = signature(node).replace(node.name, name, 1)
        return f"```python\n{text}\n```\n\n{ast.get_docstring(node)}\n"
    if not isinstance(node, ast.ClassDef):
        return f"```python\n{_source(node, lines)}\n```\n"
    bases = f"({', '.join(ast.unparse(base) for base in node.bases)})" if node.bases else ""
    fields = [_source(one, lines) for one in node.body if isinstance(one, ast.AnnAssign) and _public(one.target)]
    methods = [one for one in node.body if isinstance(one, ast.FunctionDef) and not one.name.startswith("_")]
    code = "\n".join([f"class {node.name}{bases}{':' if fields else ''}", *fields])
    listed = "".join(f"- `{signature(one)}`: {_first(ast.get_docstring(one))}\n" for one in methods)
    return f"```python\n{code}\n```\n\n{ast.get_docstring(node)}\n" + (f"\n{listed}" if listed else "")


def _source(node: ast.stmt, lines: list[str]) -> str:
    return "\n".join(lines[node.lineno - 1 : node.end_lineno])


def _public(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and not target.id.startswith("_")


def _first(doc: str | None) -> str:
    return " ".join((doc or "").partition("\n\n")[0].split())


# -- metrics ------------------------------------------------------------------------------------------


def metrics() -> str:
    """Write every metric with its type and labels."""
    rows = []
    for wrapper in vars(Metrics()).values():
        if hasattr(wrapper, "describe"):
            for family in wrapper.describe():
                name = f"{family.name}_total" if family.type == "counter" else family.name
                labels = ", ".join(f"`{label}`" for label in wrapper._labelnames)  # noqa: SLF001  # no public way
                rows.append((f"`{name}`", family.type, labels, family.documentation))
    return table(("metric", "type", "labels", "meaning"), rows)


def crypto_operations() -> str:
    """Write what the route `crypto` can do: each operation with its fields and those of its reply."""
    replies = {reply.__struct_config__.tag: reply for reply in Reply.__subclasses__()}
    parts = []
    for operation in ALL:
        name = str(operation.__struct_config__.tag)
        answer = ", ".join(f"`{field}`" for field in replies[name].__struct_fields__)
        parts.append(f"## {name}\n\n{_doc(operation)}\n")
        parts.append(table(("field", "takes", "default", "meaning"), field_rows(operation)))
        parts.append(f"Answers {answer}.\n")
    return "\n".join(parts)


REGIONS: dict[str, Callable[[], str]] = {
    "authenticators": lambda: components("authenticator"),
    "at-rest": lambda: options(AtRestConfig),
    "chain": lambda: options(Chain),
    "commands": commands,
    "crypto": crypto_operations,
    "front-door": front_door,
    "hooks": hooks,
    "keep": lambda: options(Keep),
    "keyrings": lambda: components("keyring"),
    "metrics": metrics,
    "outputs": lambda: components("output"),
    "routes": lambda: components("route"),
    "server": lambda: options(Server),
    "steps": lambda: components("step"),
    "stores": lambda: components("store"),
}


def regenerate(text: str) -> str:
    """Return a page's text with its regions written anew."""
    return REGION.sub(lambda found: f"{found[1]}\n{REGIONS[found[2]]()}\n{found[3]}", text)


def main() -> int:
    """Write all pages; 0."""
    for page in sorted((DOCS / "reference").glob("*.md")):
        before = page.read_text()
        after = regenerate(before)
        if after != before:
            page.write_text(after)
            sys.stdout.write(f"{page.relative_to(DOCS)} written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
