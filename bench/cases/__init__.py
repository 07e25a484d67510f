"""All cases, in the order in which `all` runs them."""

from bench.cases.batches import Batches
from bench.cases.fan_out import FanOut
from bench.cases.growth import Growth
from bench.cases.idle import Idle
from bench.cases.latency import Latency
from bench.cases.memory import Memory
from bench.cases.overhead import Overhead
from bench.cases.publish import Publish
from bench.cases.replay import Replay
from bench.cases.startup import StartUp
from bench.cases.storms import Storms
from bench.cases.trim import Trim
from bench.study import Case

_ALL = (
    FanOut(),
    Latency(),
    Memory(),
    Publish(),
    Batches(),
    Overhead(),
    Growth(),
    Replay(),
    StartUp(),
    Trim(),
    Storms(),
    Idle(),
)
CASES: dict[str, Case] = {case.name: case for case in _ALL}
