"""The source as data: modules, functions, imports."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGES = {"eventstream": ROOT / "eventstream", "eventstream_plugins": ROOT / "plugins"}


class Import(NamedTuple):
    importer: str
    imported: str
    level: str  # "top", "lazy" (inside a function) or "typing" (under TYPE_CHECKING)


@cache
def modules() -> dict[str, Path]:
    found = {}
    for package, folder in PACKAGES.items():
        for file in sorted(folder.rglob("*.py")):
            parts = [package, *file.relative_to(folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def room(module: str) -> str:
    """Return `eventstream.runtime` of `eventstream.runtime.hub`."""
    return ".".join(module.split(".")[:2])


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text())


def functions() -> Iterator[tuple[str, int]]:
    """Yield each function's place and length in lines."""
    for module in modules():
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{module}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


@cache
def imports() -> list[Import]:
    return [one for module in modules() for one in _imports(module, tree(module), "top")]


def _imports(module: str, parent: ast.AST, level: str) -> Iterator[Import]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.ImportFrom):
            base = _base(module, node)
            for alias in node.names:
                name = f"{base}.{alias.name}"
                imported = name if name in modules() else base
                if imported in modules() and imported != module:
                    yield Import(module, imported, level)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in modules():
                    yield Import(module, alias.name, level)
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from _imports(module, node, "typing")
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and level == "top"
            yield from _imports(module, node, "lazy" if inside else level)


def _base(module: str, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    package = module.split(".")
    if modules()[module].name != "__init__.py":
        package = package[:-1]
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, *([node.module] if node.module else [])])


def cycles(levels: set[str]) -> list[list[str]]:
    """Return the groups of modules that import each other, by imports of these levels."""
    edges: dict[str, set[str]] = {module: set() for module in modules()}
    for one in imports():
        if one.level in levels:
            edges[one.importer].add(one.imported)
    reach = {module: _reachable(module, edges) for module in edges}
    groups = {tuple(sorted(b for b in reach[a] if a in reach[b])) for a in edges if a in reach[a]}
    return sorted(list(group) for group in groups)


def _reachable(start: str, edges: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(edges[start])
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += edges[module]
    return seen
