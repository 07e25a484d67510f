"""The servers that are measured, by name, in the order in which they are shown."""

from bench.peers.bare import Bare
from bench.peers.benthos import Benthos
from bench.peers.centrifugo import Centrifugo
from bench.peers.durable_streams import DurableStreams
from bench.peers.eventstream import EventStream
from bench.peers.gunicorn_echo import GunicornEcho
from bench.peers.mercure import Mercure
from bench.peers.nchan import Nchan
from bench.peers.peer import Peer
from bench.peers.pushpin import Pushpin

OURS = EventStream.name
HUBS = (EventStream, Nchan, Pushpin, Centrifugo, Mercure, DurableStreams)

__all__ = [
    "HUBS", "OURS", "Bare", "Benthos", "Centrifugo", "DurableStreams", "EventStream", "GunicornEcho", "Mercure",
    "Nchan", "Peer", "Pushpin",
]  # fmt: skip
