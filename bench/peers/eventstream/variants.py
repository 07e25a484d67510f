"""This server with other settings, for the cases that are about a setting."""

BASE = """
version: 1
store:
  {store}
  keep: {{age: 7d, events: {events}, size: 16GiB, ids: 24h}}
pipelines:
  - name: default
    steps: [{steps}]
outputs:
  - sse: {{path: /events}}
"""
SQLITE = "sqlite: {path: data/events.db, durability: fsync}"
CHAIN = "{validate: {schema: event.schema.json}}, persist, fan_out"


def config(*, store: str = SQLITE, steps: str = CHAIN, events: int = 5_000_000) -> str:
    """A configuration that keeps `events` events."""
    return BASE.format(store=store, steps=steps, events=events)


LONG_HISTORY = config()  # the default keeps a million events: a history of a million must not be trimmed meanwhile
