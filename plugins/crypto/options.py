"""The options of `crypto`."""

import re
from typing import Annotated, Literal

import msgspec

from eventstream import Config, Meta, Size

OWN = "own"  # in a list of owners: keys whose owner has the caller's own name
_PATTERN = re.compile(r"[A-Za-z0-9._:-]{0,64}\*?\Z")

Level = Literal["interactive", "moderate", "sensitive"]
Owners = list[str]


class PasswordOptions(Config, frozen=True):
    """What hashing passwords may cost: each hash at work holds its level's memory."""

    level: Annotated[
        Level,
        Meta(
            description="Argon2id by libsodium's levels: 64 MiB and 2 passes, 256 MiB and 3, 1 GiB and 4. "
            "A hash that asks for more is refused.",
            examples=["moderate"],
        ),
    ] = "interactive"
    at_once: Annotated[int, Meta(ge=1, le=8, description="Hashes at once, in each worker.")] = 1
    queue: Annotated[int, Meta(ge=0, le=1000, description="Requests that may wait; one more is 503.")] = 16


class CryptoOptions(Config, frozen=True):
    """Options of `crypto`. A list of owners holds names, patterns with a trailing `*`, or `own`: the caller's name."""

    path: Annotated[str, Meta(pattern="^/", description="URL path of the route.")] = "/crypto"
    batch: Annotated[int, Meta(ge=1, le=1000, description="Most requests in one array.")] = 100
    data: Annotated[
        Size, Meta(description="Most bytes of one plaintext, message or ciphertext. `server.limits.body` bounds all.")
    ] = Size(2**20)
    inline_keys: Annotated[
        bool, Meta(description="Whether a request may bring keys; if not, each is named by its `kid`.")
    ] = True
    private_keys: Annotated[
        Literal["never", "return"],
        Meta(description="Whether `generate_key` answers private and secret keys; if not, they are kept here."),
    ] = "never"
    use: Annotated[
        Owners,
        Meta(description="Owners whose private and secret keys callers may use by `kid`.", examples=[["own"]]),
    ] = msgspec.field(default_factory=list)
    keep: Annotated[
        Owners,
        Meta(description="Owners for whom `generate_key` may keep keys in the keyring.", examples=[["own"]]),
    ] = msgspec.field(default_factory=list)
    register: Annotated[
        Owners,
        Meta(
            description="Owners for whom `register_key` takes public Curve25519 keys: those who read sealed events.",
            examples=[["readers"]],
        ),
    ] = msgspec.field(default_factory=list)
    keys_per_owner: Annotated[
        int,
        Meta(
            ge=1,
            le=10000,
            description="Most keys of one owner; callers add none beyond it. Not more than the `readers` of an "
            "`encrypt` that seals to them, or events are refused.",
        ),
    ] = 32
    passwords: Annotated[PasswordOptions, Meta(description="What hashing passwords may cost.")] = PasswordOptions()

    def __post_init__(self) -> None:
        for name in ("use", "keep", "register"):
            for pattern in getattr(self, name):
                if not pattern or not _PATTERN.match(pattern):
                    raise ValueError(f"{name}: {pattern!r} is no owner: letters, digits and ._:- with * at the end")
