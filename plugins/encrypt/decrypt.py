"""The step `decrypt`: open envelopes in a pipeline that is trusted with a reader's key."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from eventstream import (
    Config,
    Context,
    Event,
    Key,
    Keys,
    Meta,
    Problem,
    Reject,
    Services,
    Step,
)

from .encrypt import OFFLOAD_FROM, PURPOSES
from .envelope import WRAPPINGS, Envelope, EnvelopeError, is_envelope, open_for, parse_envelope

KINDS = {"sealed-box": "curve25519", "xchacha20poly1305": "secret", "shared": "secret"}
MAX_TRIES = 8  # pairs of a recipient and a key, at about 100 µs each


class DecryptConfig(Config, frozen=True):
    """Options of `decrypt`."""

    keys: Annotated[
        list[str],
        Meta(
            description="Owners or ids of keys to open with: `curve25519` with their private halves, or `secret`.",
            min_length=1,
            examples=[["warehouse"]],
        ),
    ]
    plain: Annotated[
        Literal["reject", "pass"],
        Meta(description="What becomes of an event whose data is no envelope.", examples=["reject"]),
    ] = "reject"

    def __post_init__(self) -> None:
        if len(set(self.keys)) != len(self.keys):
            raise ValueError("keys: a name stands twice")


class DecryptStep(Step):
    """Open envelopes that `encrypt` made, here or on another server, with keys that this server holds.

    The event becomes what it was before it was sealed: `data`, `datacontenttype`, `dataschema` and a
    producer's `signature` come back. Private halves stand in the keyring, secret keys there or in `keys`.
    A key that is retiring still opens. Envelopes of versions 0 and 1 are opened, none of other versions.

    Behind this step the event is readable: by every step, in the store, and to subscribers.

    Errors: 422 with the reason `no_envelope` (unless `plain: pass`), `version`, `not_for_us` or `altered`;
    503 (`no_key`) while none of the named keys can be used.
    """

    name = "decrypt"
    Config = DecryptConfig
    config: DecryptConfig
    fail_closed = True
    examples: ClassVar[list[Any]] = [{"keys": ["archive"]}, {"keys": ["archive"], "plain": "pass"}]

    def check(self, folder: str, keys: Keys) -> Iterable[Problem]:
        """Judge the named keys: known, of the right kind, with what opens."""
        for index, name in enumerate(self.config.keys):
            trouble = keys.trouble(name, WRAPPINGS, f"/keys/{index}")
            if trouble is not None:
                yield trouble
            elif not keys.open and not any(key.private for key in keys.of(name)):
                hint = "keep its private half in a keyring"
                yield Problem(f"key {name} is a public half only, which opens nothing", f"/keys/{index}", hint)

    def open(self, services: Services) -> None:
        """Keep what tells the keys and the time."""
        self._services = services
        self._now: Callable[[], float] = services.now

    def process(self, event: Event, context: Context) -> Event:
        """Return the event opened; raises Reject."""
        return self._open(event, self._usable())

    def _usable(self) -> list[Key]:
        now = self._now()
        named = (key for name in self.config.keys for key in self._services.keys.of(name))
        return [
            key
            for key in named
            if key.kind in WRAPPINGS and key.purpose in PURPOSES and key.accepted(now) and key.private
        ]

    def _open(self, event: Event, keys: Sequence[Key]) -> Event:
        if self.config.plain == "pass" and not is_envelope(event):
            return event
        try:
            envelope = parse_envelope(event.data)
            if not keys:
                retry = {"Retry-After": "5"}
                raise Reject("envelopes cannot be opened now", 503, "no_key", headers=retry, private="no usable key")
            if len(envelope.ciphertext) < OFFLOAD_FROM:
                return _try_keys(event, envelope, keys)
            opened: Event = self._services.offload(lambda: _try_keys(event, envelope, keys))
        except EnvelopeError as error:
            raise Reject(str(error), 422, error.reason) from None
        return opened


def _try_keys(event: Event, envelope: Envelope, keys: Sequence[Key]) -> Event:
    fault = EnvelopeError("the envelope is for other readers", "not_for_us")
    for tries, (recipient, key) in enumerate(_pairs(envelope, keys)):
        if tries == MAX_TRIES:
            break
        try:
            return open_for(event, envelope, recipient, key.private)
        except EnvelopeError as error:
            fault = error
    raise fault


def _pairs(envelope: Envelope, keys: Sequence[Key]) -> Iterator[tuple[Mapping[str, str], Key]]:
    """Yield who may be who: by the key's id first, then by its owner.

    Version 0 names owners, and the keys of the section `keys` are numbered anew when one is added.
    """
    fitting = [(one, key) for one in envelope.recipients for key in keys if key.kind == KINDS[one["alg"]]]
    yield from (pair for pair in fitting if pair[0]["kid"] == pair[1].kid)
    yield from (pair for pair in fitting if pair[0]["kid"] != pair[1].kid and _is_kin(pair[0]["kid"], pair[1]))


def _is_kin(kid: str, key: Key) -> bool:
    return kid == key.owner or kid.rpartition("-")[0] == key.owner
