"""The app for any WSGI server: `gunicorn 'eventstream.server.wsgi:create_app("pipelines.yaml")'`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from eventstream.http.app import build_app
from eventstream.http.site import Site
from eventstream.runtime.node import Node, build_node
from eventstream.server.generation import Generation, load_generation
from eventstream.server.platform import GeventPlatform, PlainPlatform, current_platform
from eventstream.telemetry.metrics import Metrics


class App:
    """A WSGI app and the node behind it."""

    def __init__(
        self,
        generation: Generation,
        *,
        metrics_folder: str | None = None,
        admin_socket: str | None = None,
        describe: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        """Build and open the node; call it in the process that serves.

        What comes over `admin_socket` may see everything under `/-/`, also what `describe` tells.
        """
        self.generation = generation
        self.admin_socket = admin_socket
        self.platform: GeventPlatform | PlainPlatform = current_platform()
        self.node: Node = build_node(
            generation.settings, generation.catalogue.manager, self.platform, Metrics(metrics_folder)
        )
        self.site = Site(self.node, describe)
        self._falcon = build_app(self.site)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request."""
        return self._falcon(environ, start_response)


def create_app(file: str = "pipelines.yaml") -> App:
    """Return the app of a configuration file; raises ConfigError. Call it in the process that serves."""
    return App(load_generation(file, drop_ins=os.environ.get("EVENTSTREAM_PLUGINS", "").split(os.pathsep)))
