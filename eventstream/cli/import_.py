"""`eventstream import`: CloudEvents from a file, one JSON object a line, into the store."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import batched
from pathlib import Path
from typing import IO, NamedTuple

from eventstream.cli.export import HIDDEN
from eventstream.cli.store import config_argument, open_store
from eventstream.components.command import Command
from eventstream.components.store import Conflict, Entry, Store
from eventstream.errors import ConfigError, EventStreamError, Problem, Reject
from eventstream.events import strict_json
from eventstream.events.codec import encode, from_mapping
from eventstream.events.strict_json import JsonError

BATCH = 500  # events in one commit
MAX_LINE = 64 * 2**20  # bytes
