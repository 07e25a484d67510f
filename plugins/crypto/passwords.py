"""Operations on passwords. What a hash costs is bounded before any work is done."""

import re
from typing import Annotated, NamedTuple

from nacl.pwhash import argon2id

from eventstream import Meta
from eventstream_plugins.crypto.desk import Desk
from eventstream_plugins.crypto.operation import Operation, Reply
from eventstream_plugins.crypto.options import Level
from eventstream_plugins.crypto.refusals import refuse

MAX_LANES = 16
# As libsodium writes it: memory in KiB, passes, lanes, salt, hash. At most 127 characters in all.
_FORM = re.compile(
    r"\$argon2id\$v=19\$m=([1-9][0-9]{0,9}),t=([1-9][0-9]{0,9}),p=([1-9][0-9]{0,2})"
    r"\$[A-Za-z0-9+/]{11,64}\$[A-Za-z0-9+/]{22,86}"
)
_MAX_LENGTH = 127

Password = Annotated[str, Meta(max_length=1024, description="Text, hashed as UTF-8 just as it is.")]


class Cost(NamedTuple):
    """What one hash takes: libsodium's opslimit, and memlimit in bytes."""

    passes: int
    memory: int


LEVELS: dict[Level, Cost] = {
    "interactive": Cost(argon2id.OPSLIMIT_INTERACTIVE, argon2id.MEMLIMIT_INTERACTIVE),
    "moderate": Cost(argon2id.OPSLIMIT_MODERATE, argon2id.MEMLIMIT_MODERATE),
    "sensitive": Cost(argon2id.OPSLIMIT_SENSITIVE, argon2id.MEMLIMIT_SENSITIVE),
}


class HashedPassword(Reply, tag="password_hash"):
    """A hash to store, with its salt and cost in it: `$argon2id$…`."""

    hash: str


class PasswordHash(Operation, tag="password_hash"):
    """Hash a password with Argon2id (crypto_pwhash_str), at the cost that the server sets."""

    password: Password

    def run(self, desk: Desk) -> HashedPassword:
        """Refused with 503 while too many wait."""
        cost = LEVELS[desk.options.passwords.level]
        job = {"password": self.password, "passes": cost.passes, "memory": cost.memory}
        return HashedPassword(hash=desk.hash_password(job)["hash"])


class VerifiedPassword(Reply, tag="password_verify"):
    """Whether it is that password."""

    valid: bool


class PasswordVerify(Operation, tag="password_verify"):
    """Verify a password by its Argon2id hash (crypto_pwhash_str_verify)."""

    password: Password
    hash: Annotated[
        str, Meta(max_length=_MAX_LENGTH, pattern=r"^\$argon2id\$", description="As `password_hash` makes it.")
    ]

    def run(self, desk: Desk) -> VerifiedPassword:
        """A wrong password is a good answer; a hash that would cost too much is refused."""
        _check_cost(self.hash, LEVELS[desk.options.passwords.level])
        return VerifiedPassword(valid=desk.hash_password({"password": self.password, "hash": self.hash})["valid"])


def _check_cost(text: str, most: Cost) -> None:
    """Refuse a hash that is none, or asks for more memory or work than the level has."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise refuse("this is no Argon2id hash: $argon2id$v=19$m=…,t=…,p=…$salt$hash", "/hash")
    memory, passes, lanes = int(found[1]) * 1024, int(found[2]), int(found[3])
    if memory > most.memory or memory * passes > most.memory * most.passes or lanes > MAX_LANES:
        bound = f"m={most.memory // 1024},t={most.passes},p={MAX_LANES}"
        raise refuse(f"this hash costs more than the server allows: {bound}", "/hash")
