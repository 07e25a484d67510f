"""The typed settings of a server: one declaration gives parsing, `check`, the reference and the schema."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import msgspec

from eventstream.components.authenticator import Authenticator
from eventstream.components.chain import Chain
from eventstream.components.cipher import AtRest
from eventstream.components.component import Config, Duration, Meta, Rate, Size
from eventstream.components.identity import Grant
from eventstream.components.key import Key
from eventstream.components.keyring import Keyring
from eventstream.components.output import Output, Route
from eventstream.components.step import Step
from eventstream.components.store import Keep, Store
from eventstream.errors import Problem
from eventstream.events.filter import Filter

Positive = Annotated[int, Meta(ge=1)]


class Bind(str):
    """Where to listen: host and port."""

    __slots__ = ()
    pattern: ClassVar[str] = r"^(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):\d{1,5}$"

    @classmethod
    def parse(cls, text: object) -> Bind:
        """Read an address; raises ValueError that shows a right one."""
        if not isinstance(text, str) or not re.fullmatch(cls.pattern, text) or int(text.rpartition(":")[2]) > 65535:
            raise ValueError(f"{text!r} is no address such as 127.0.0.1:3000 or [::1]:3000")
        return cls(text)

    @property
    def host(self) -> str:
        """Return the host, an IPv6 address without its brackets."""
        return self.rpartition(":")[0].strip("[]")

    @property
    def loopback(self) -> bool:
        """Tell whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def port(self) -> int:
        """Return the port; 0 lets the system choose."""
        return int(self.rpartition(":")[2])


class Origin(str):
    """A web origin, `*` or `null`."""

    __slots__ = ()
    pattern: ClassVar[str] = r"^(\*|null|[a-z][a-z0-9+.-]*://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?)$"

    @classmethod
    def parse(cls, text: object) -> Origin:
        """Read an origin; raises ValueError that shows a right one."""
        if not isinstance(text, str) or not re.fullmatch(cls.pattern, text):
            raise ValueError(f"{text!r} is no origin such as https://shop.example or http://localhost:5173")
        return cls(text)


class Network(str):
    """An IP address or a network."""

    __slots__ = ()
    pattern: ClassVar[str] = r"^[0-9A-Fa-f:.]+(/\d{1,3})?$"

    @classmethod
    def parse(cls, text: object) -> Network:
        """Read an address or network; raises ValueError that shows a right one."""
        try:
            ipaddress.ip_network(text if isinstance(text, str) else "")
        except ValueError:
            raise ValueError(f"{text!r} is no address or network such as 10.0.0.0/8") from None
        return cls(text)


class Cors(Config, frozen=True):
    """Which web pages of other origins may use this server."""

    origins: Annotated[
        list[Origin],
        Meta(
            description="Origins whose pages may publish and subscribe, also over WebSocket; `*` for all. "
            "Comma lists are split.",
            examples=[["https://shop.example"], ["*"]],
        ),
    ] = msgspec.field(default_factory=list)
    credentials: Annotated[bool, Meta(description="Whether browsers may send cookies. Not together with `*`.")] = False
    paths: Annotated[
        list[str], Meta(description="Paths that answer other origins, with all below them.", examples=[["/events"]])
    ] = msgspec.field(default_factory=lambda: ["/events"])

    def __post_init__(self) -> None:
        """Refuse what browsers refuse."""
        if self.credentials and "*" in self.origins:
            raise ValueError("credentials: browsers refuse cookies together with '*': name the origins")
        for path in self.paths:
            if not path.startswith("/"):
                raise ValueError(f"paths: {path!r} does not start with /")


class Limits(Config, frozen=True):
    """Bounds of one worker. Beyond them a request is refused, never queued without end."""

    body: Annotated[Size, Meta(description="Longest request body, after decompression.", examples=["1MiB"])] = Size(
        2**20
    )
    batch: Annotated[Positive, Meta(description="Most events in one request.", examples=[1000])] = 1000
    queue: Annotated[Positive, Meta(description="Most requests that wait for their commit.", examples=[1000])] = 1000
    subscribers: Annotated[
        Positive, Meta(description="Most open streams; lowered to what the file limit allows.", examples=[16000])
    ] = 16_000
    depth: Annotated[int, Meta(ge=1, le=512, description="Deepest nesting of a JSON body.", examples=[64])] = 64
    connections: Annotated[
        Positive, Meta(description="Most connections that are not streams, idle ones included.", examples=[2000])
    ] = 2000


class Timeouts(Config, frozen=True):
    """How long a peer, or a worker, may take. None of them is ever without end."""

    keep_alive: Annotated[
        Duration,
        Meta(description="Idle connection; longer than a reverse proxy in front keeps its own.", examples=["65s"]),
    ] = Duration(65)
    head: Annotated[Duration, Meta(description="Receiving a request's head.", examples=["10s"])] = Duration(10)
    body: Annotated[Duration, Meta(description="Receiving a request's body.", examples=["30s"])] = Duration(30)
    write: Annotated[Duration, Meta(description="Taking a response.", examples=["30s"])] = Duration(30)
    hang: Annotated[
        Duration, Meta(description="A worker whose loop stands still for so long is replaced.", examples=["30s"])
    ] = Duration(30)

    def __post_init__(self) -> None:
        """Refuse zero, which would mean without end."""
        for name in self.__struct_fields__:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: must be longer than 0")


class Tls(Config, frozen=True):
    """HTTPS without a proxy. Renewed certificates are read by a reload."""

    cert: Annotated[str, Meta(description="PEM file: the certificate and its chain.", examples=["tls/fullchain.pem"])]
    key: Annotated[str, Meta(description="PEM file: the private key.", examples=["tls/privkey.pem"])]


class Metrics(Config, frozen=True):
    """Who may read `/-/health`, `/-/ready` and `/-/metrics`."""

    public: Annotated[
        bool | None,
        Meta(description="Whether everybody who reaches the server may; unset: only when it listens on loopback."),
    ] = None


class Log(Config, frozen=True):
    """Where the log goes and how much of it."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Least level written.")] = "info"
    format: Annotated[
        Literal["auto", "json", "console"], Meta(description="`auto`: console on a terminal, else JSON lines.")
    ] = "auto"
    file: Annotated[str | None, Meta(description="File to write to; unset: standard error.")] = None
    max_size: Annotated[Size, Meta(description="Size at which the file is rotated.", examples=["10MiB"])] = Size(
        10 * 2**20
    )
    keep: Annotated[int, Meta(ge=0, description="Rotated files that are kept.", examples=[5])] = 5


class AuditLog(Config, frozen=True):
    """One line for each thing that somebody did or was refused; `audit: {}` writes them to the log."""

    file: Annotated[str | None, Meta(description="File to write to; unset: the log.", examples=["audit.log"])] = None
    rate: Annotated[
        Rate, Meta(description="Most lines of each kind, per worker; what is held back is counted.", examples=["100/s"])
    ] = Rate(100)
    max_size: Annotated[Size, Meta(description="Size at which the file is rotated.", examples=["10MiB"])] = Size(
        10 * 2**20
    )
    keep: Annotated[int, Meta(ge=0, description="Rotated files that are kept.", examples=[5])] = 5


class Server(Config, frozen=True):
    """The server itself: where it listens, whom it believes, and its bounds."""

    bind: Annotated[
        Bind, Meta(description="Address and port to listen on.", examples=["127.0.0.1:3000", "[::1]:3000"])
    ] = Bind("127.0.0.1:3000")
    workers: Annotated[int, Meta(ge=1, le=512, description="Worker processes.", examples=[2])] = 2
    public: Annotated[
        Literal["anyone may publish and subscribe"] | None,
        Meta(description="To listen on an address that is not loopback without authentication, say so in these words."),
    ] = None
    cors: Annotated[Cors, Meta(description="Web pages of other origins.")] = Cors()
    proxies: Annotated[
        list[Network],
        Meta(
            description="Addresses or networks of peers whose X-Forwarded-For and Forwarded are believed.",
            examples=[["10.0.0.0/8"]],
        ),
    ] = msgspec.field(default_factory=list)
    hosts: Annotated[
        list[str],
        Meta(
            description="Names this server answers to; empty: loopback names on loopback, else any.",
            examples=[["events.example"]],
        ),
    ] = msgspec.field(default_factory=list)
    limits: Annotated[Limits, Meta(description="Bounds of one worker.")] = Limits()
    timeouts: Annotated[Timeouts, Meta(description="How long a peer may take.")] = Timeouts()
    tls: Annotated[Tls | None, Meta(description="Serve HTTPS.")] = None
    drain: Annotated[
        Duration, Meta(description="How long a stop or reload waits for open requests and streams.", examples=["10s"])
    ] = Duration(10)
    metrics: Annotated[Metrics, Meta(description="Health and metrics.")] = Metrics()
    log: Annotated[Log, Meta(description="The log.")] = Log()
    audit: Annotated[AuditLog | None, Meta(description="Who did what; unset: nothing of it is written.")] = None

    @property
    def address(self) -> tuple[str, int]:
        """Return host (IPv6 without brackets) and port."""
        return self.bind.host, self.bind.port

    @property
    def loopback(self) -> bool:
        """Tell whether only this machine can reach the server."""
        return self.bind.loopback

    @property
    def metrics_public(self) -> bool:
        """Tell whether health and metrics answer everybody."""
        return self.loopback if self.metrics.public is None else self.metrics.public


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One built step of a pipeline. `place` names it in errors: `pipelines.orders.steps[1].validate`."""

    place: str
    step: Step
    on_error: Literal["reject", "drop"] = "reject"


@dataclass(frozen=True, slots=True)
class PipelineSpec:
    """One pipeline: which events it takes, and its steps in the file's order."""

    name: str
    match: Filter
    steps: list[StepSpec]


@dataclass(frozen=True, slots=True)
class Granted:
    """One entry of `auth.grants`: to whom (exact names, or with a trailing `*`), and what."""

    to: tuple[str, ...]
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class Auth:
    """How one tells who asks, in this order, and who may do what."""

    chain: tuple[Authenticator, ...]
    grants: tuple[Granted, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """A checked configuration, its components built and not yet opened."""

    server: Server
    store: Store
    keep: Keep
    keys: tuple[Key, ...]  # of the section `keys`
    keyring: Keyring | None
    pipelines: list[PipelineSpec]
    outputs: list[Output]
    routes: list[Route]
    text: str = field(repr=False)  # the file's exact text; may hold inline keys
    digest: str  # SHA-256 of the text, in hex
    file: str
    folder: str  # where relative paths start
    at_rest: AtRest | None = None  # None: events are stored as they are sent
    chain: Chain | None = None  # None: the store keeps no hash chain
    auth: Auth | None = None  # None: nobody is asked who they are
    warnings: list[Problem] = field(default_factory=list)
