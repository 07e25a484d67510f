"""Finding plugins: entry points of the group `eventstream`, and one-file drop-ins."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

import pluggy

from eventstream.errors import ConfigError, Problem
from eventstream.hooks import specs


def load_plugins(drop_ins: Sequence[str] = ()) -> pluggy.PluginManager:
    """Return a manager with every installed plugin and each drop-in file registered.

    Raises ConfigError, naming the plugin, when one cannot be imported or implements a hook wrongly.
    """
    manager = pluggy.PluginManager(specs.PROJECT)
    manager.add_hookspecs(specs)
    for entry_point in sorted(entry_points(group=specs.PROJECT), key=lambda found: found.name):
        _register(manager, entry_point.name, _load_entry_point(entry_point))
    for path in drop_ins:
        _register(manager, path, _load_file(Path(path)))
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise ConfigError(_describe(str(getattr(error.plugin, "__file__", error.plugin)), error)) from error
    return manager


def _register(manager: pluggy.PluginManager, name: str, module: object) -> None:
    try:
        manager.register(module, name)
    except (pluggy.PluginValidationError, ValueError) as error:
        raise ConfigError(_describe(name, error)) from error


def _load_entry_point(entry_point: EntryPoint) -> object:
    try:
        return entry_point.load()
    except Exception as error:  # whatever a plugin raises while imported stops the start, with its name
        distribution = f" of {entry_point.dist.name}" if entry_point.dist else ""
        raise ConfigError(_describe(f"{entry_point.name}{distribution}", error)) from error


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError([Problem(f"plugin file {path} does not exist", hint="--plugin takes a path to a .py file")])
    name = f"eventstream_drop_in_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError([Problem(f"plugin file {path} is no Python file")])
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # as above
        del sys.modules[name]
        raise ConfigError(_describe(str(path), error)) from error
    return module


def _describe(plugin: str, error: Exception) -> list[Problem]:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = {"file": frame.tb_frame.f_code.co_filename, "line": frame.tb_lineno} if frame else {}
    if isinstance(error, SyntaxError):
        place = {"file": error.filename or "", "line": error.lineno or 0, "column": error.offset or 0}
    message = f"plugin {plugin} cannot be used: {type(error).__name__}: {error}"
    return [Problem(message, **place)]  # type: ignore[arg-type]  # a dict literal of file and line
