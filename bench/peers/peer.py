"""What a case asks of a server under test, ours or a peer's."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Self

from bench.cache import Unavailable
from bench.generator import Ask
from bench.processes import Process, cpu_seconds, free_port, memory_bytes


class Peer(ABC):
    """One server: how it is had, started, asked. A peer's folder holds its configuration with the reasons."""

    name: ClassVar[str]
    title: ClassVar[str]
    durable: ClassVar[str]  # what its answer to a publish promises: fsync, os, memory
    note: ClassVar[str] = ""

    def __init__(self) -> None:
        self.port = 0
        self.publish_port = 0
        self.processes: list[Process] = []

    def prepare(self) -> None:  # noqa: B027  # most have something to prepare, some have not
        """Compile, unpack or install what is missing; raises Unavailable with the reason."""

    @abstractmethod
    def version(self) -> str:
        """What runs, as it calls itself."""

    @abstractmethod
    def launch(self, folder: Path) -> None:
        """Start it on a free port of 127.0.0.1 with all its files in the folder, and wait until it listens."""

    def subscribe(self, transport: str) -> Ask:
        """The request of a subscriber that gets what is published from now on."""
        raise Unavailable(f"{self.title} has no {transport}")

    def publish(self, size: int = 250) -> bytes:
        """A request that publishes one event with `size` characters of data."""
        raise Unavailable(f"{self.title} takes no events")

    def publish_batch(self, events: int, size: int = 250) -> bytes:
        """A request that publishes several events."""
        raise Unavailable(f"{self.title} takes one event a request")

    def spawn(self, *words: str | Path, folder: Path, environ: Mapping[str, str] | None = None) -> Process:
        process = Process(words, folder, environ)
        self.processes.append(process)
        return process

    def take_port(self) -> int:
        self.port = self.publish_port = free_port()
        return self.port

    @contextmanager
    def running(self, folder: Path) -> Iterator[Self]:
        try:
            self.launch(folder)
            yield self
        finally:
            self.stop()

    def stop(self) -> None:
        while self.processes:
            self.processes.pop().stop()

    def pids(self) -> list[int]:
        """The roots of what is measured; helpers like a trivial origin are left out."""
        return [process.pid for process in self.processes]

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pids())

    def memory_bytes(self) -> int:
        return memory_bytes(self.pids())
