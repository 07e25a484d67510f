"""A case: what is measured and how; and the rounds in which the contenders take turns."""

import os
import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

from bench.cache import Unavailable, last_words
from bench.figures import rotate
from bench.generator import Generator, GeneratorFailed
from bench.peers import Peer
from bench.processes import ServerFailed

Values = dict[str, float]


class Metric(NamedTuple):
    """One figure of a workload."""

    key: str
    unit: str
    more_is_better: bool


class Workload(NamedTuple):
    """One line of questions within a case: the first metric is the headline, drawn and compared."""

    key: str
    title: str
    metrics: tuple[Metric, ...]


class Contender(NamedTuple):
    """Who is measured: a way to make it anew for each round, and the names it is shown by."""

    name: str
    title: str
    make: Callable[[], Peer]


def contender(peer: type[Peer]) -> Contender:
    return Contender(peer.name, peer.title, peer)


@dataclass(frozen=True)
class Scale:
    """How much work: `quick` is for trying the harness out, its figures mean nothing."""

    rounds: int = 5
    quick: bool = False

    def of(self, full: float, quick: float) -> int:
        return int(quick if self.quick else full)


class Lab:
    """Where one contender is measured once: a folder of its own, a generator, the scale."""

    def __init__(self, folder: Path, generator: Generator, scale: Scale, stock: Path) -> None:
        self.folder = folder
        self.generator = generator
        self.scale = scale
        self._stock = stock

    def stocked(self, name: str, fill: Callable[[Path], None]) -> Path:
        """A copy of a folder that `fill` fills once for all rounds: what takes long to make is the same each time."""
        kept, why = self._stock / name, self._stock / f"{name}.why"
        if why.exists():
            raise Unavailable(why.read_text())
        if not kept.exists():
            fresh = self._stock / f"{name}.{time.monotonic_ns()}"
            fresh.mkdir()
            try:
                fill(fresh)
            except Unavailable as reason:
                why.write_text(str(reason))
                raise
            fresh.rename(kept)
        copy = shutil.copytree(kept, self.folder / name, ignore=_sockets)
        os.sync()  # or the first fsync of what is measured would write the copy
        return copy


def _sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if Path(folder, name).is_socket()]


class Case(ABC):
    """One question that the benchmark answers. `python -m bench NAME` runs it."""

    name: ClassVar[str]
    title: ClassVar[str]
    method: ClassVar[str]  # how it is measured, for the reader of the figures

    @abstractmethod
    def contenders(self) -> Sequence[Contender]:
        """Everybody who is asked; ours first."""

    @abstractmethod
    def workloads(self, scale: Scale) -> Sequence[Workload]:
        """The workloads, in the order in which they are shown."""

    @abstractmethod
    def measure(self, peer: Peer, lab: Lab) -> Iterator[tuple[str, Values | str]]:
        """Yield each workload's key with its figures, or with the reason why this contender has none."""


@dataclass
class Study:
    """What a case gave."""

    case: Case
    scale: Scale
    contenders: list[Contender]
    versions: dict[str, str] = field(default_factory=dict)
    durable: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    rounds: dict[tuple[str, str], list[Values]] = field(default_factory=dict)  # (workload, contender)
    missing: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, workload: str, name: str, found: Values | str) -> None:
        if isinstance(found, str):
            self.missing[workload, name] = found
        else:
            self.rounds.setdefault((workload, name), []).append(found)

    def absent(self, name: str, why: str) -> None:
        for workload in self.case.workloads(self.scale):
            self.missing.setdefault((workload.key, name), why)


def run_case(case: Case, scale: Scale, say: Callable[[str], None], only: Sequence[str] = ()) -> Study:
    """Run all rounds of a case; what cannot be measured is in the study with its reason."""
    wanted = [one for one in case.contenders() if not only or one.name in only]
    study = Study(case, scale, wanted)
    ready = [one for one in wanted if _prepare(one, study, say)]
    with _folder() as stock:
        for number in range(scale.rounds):
            for one in rotate(ready, number):
                say(f"{case.name}: round {number + 1} of {scale.rounds}: {one.title}")
                _measure(case, one, study, stock, say)
    return study


def _prepare(one: Contender, study: Study, say: Callable[[str], None]) -> bool:
    peer = one.make()
    say(f"{study.case.name}: preparing {one.title}")
    study.durable[one.name], study.notes[one.name] = peer.durable, peer.note
    try:
        peer.prepare()
        study.versions[one.name] = peer.version()
    except Unavailable as reason:
        say(f"  not measured: {reason}")
        study.absent(one.name, str(reason))
        return False
    return True


def _measure(case: Case, one: Contender, study: Study, stock: Path, say: Callable[[str], None]) -> None:
    begun = time.monotonic()
    try:
        peer = one.make()
        peer.prepare()
        with _folder() as folder, Generator(folder) as generator:
            lab = Lab(folder, generator, study.scale, stock)
            for key, found in case.measure(peer, lab):
                study.add(key, one.name, found)
                say(f"  {key}: {found if isinstance(found, str) else _brief(found)}")
    except (ServerFailed, GeneratorFailed, Unavailable) as reason:
        say(f"  failed: {reason}")
        study.absent(one.name, f"failed: {last_words(str(reason))}")
    say(f"  {time.monotonic() - begun:.1f} s")


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="bench-"))  # short: Unix sockets live in it
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a server may still be writing its last line


def _brief(values: Values) -> str:
    return "  ".join(f"{key} {value:,.4g}" for key, value in values.items())
