"""A generation: one checked configuration, kept as it was when it was checked."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eventstream.config.build import load_settings
from eventstream.config.loader import read_text
from eventstream.config.model import Settings
from eventstream.hooks.catalogue import Catalogue, build_catalogue
from eventstream.hooks.manager import load_plugins
from eventstream.server.tls import Certificate, certificate_of


@dataclass(frozen=True, slots=True)
class Generation:
    """What workers build from. It holds no reference to files: a respawned worker reads none again."""

    number: int
    settings: Settings
    catalogue: Catalogue
    loaded_at: float  # Unix seconds
    certificate: Certificate | None = None


def load_generation(
    file: str, *, number: int = 1, drop_ins: Sequence[str] = (), overrides: Mapping[str, Any] | None = None
) -> Generation:
    """Read, check and build a configuration; raises ConfigError with every problem."""
    catalogue = build_catalogue(load_plugins([path for path in drop_ins if path]))
    settings = load_settings(read_text(file), file, catalogue, os.environ, overrides=overrides or {})
    return Generation(number, settings, catalogue, time.time(), certificate_of(settings))
