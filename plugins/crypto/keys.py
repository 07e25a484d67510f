"""Operations on keys: make, derive, judge, register."""

import secrets
from typing import Annotated, Literal

import msgspec
from nacl.bindings import crypto_sign_seed_keypair

from eventstream import Meta
from eventstream_plugins.crypto.desk import Desk, judge_half, written
from eventstream_plugins.crypto.fields import KID, OWNER, Binary, GivenKey, Lifetime, decode
from eventstream_plugins.crypto.operation import Operation, Reply
from eventstream_plugins.crypto.refusals import malformed, refuse
from eventstream_plugins.points import SIZE, judge_public, public_of

Kind = Literal["ed25519", "curve25519", "secret"]
Owner = Annotated[str, Meta(pattern=f"^{OWNER}$", description="Whose key it is.")]
Text = Annotated[str, Meta(max_length=1024)]


class GeneratedKey(Reply, tag="generate_key"):
    """A new key. `private_key` of Ed25519 is libsodium's: 64 bytes. A kept key shows its `kid` in place of secrets."""

    kind: Kind
    public_key: bytes | None = None
    private_key: bytes | None = None
    key: bytes | None = None
    kid: str | None = None
    owner: str | None = None
    expires: str | None = None


class Keep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a new key is kept: in the server's keyring, for use by its `kid` in this API."""

    owner: Owner
    expires: Lifetime | None = None


class GenerateKey(Operation, tag="generate_key"):
    """Make a key pair (crypto_sign_keypair, crypto_box_keypair) or a secret key.

    With `keep` the server keeps it, and the private part never leaves it.
    """

    kind: Kind
    keep: Keep | None = None

    def run(self, desk: Desk) -> GeneratedKey:
        """Refused with 403 unless the private part may be returned, or kept for this owner."""
        if self.keep is None and desk.options.private_keys == "never":
            raise refuse("this server returns no private keys: `keep` it, or make it where it is used", status=403)
        private = secrets.token_bytes(SIZE)
        public = b"" if self.kind == "secret" else public_of(self.kind, private)
        if self.keep is not None:
            kept = desk.keep(self.keep.owner, self.kind, public, private, self.keep.expires)
            expires = written(kept.expires) if self.keep.expires is not None else None
            return GeneratedKey(
                kind=self.kind, public_key=public or None, kid=kept.kid, owner=kept.owner, expires=expires
            )
        if self.kind == "secret":
            return GeneratedKey(kind="secret", key=private)
        return GeneratedKey(kind=self.kind, public_key=public, private_key=_libsodium(self.kind, private))


class PublicKeyOf(Reply, tag="public_key"):
    """The public half."""

    kind: str
    public_key: bytes


class PublicKey(Operation, tag="public_key"):
    """Derive the public half of a private key (crypto_sign_ed25519_sk_to_pk, crypto_scalarmult_base)."""

    key: Annotated[GivenKey, Meta(description="The private key, or any key pair by its `kid`.")]
    kind: Annotated[
        Literal["ed25519", "curve25519"] | None, Meta(description="Needed unless the key is named by its `kid`.")
    ] = None

    def run(self, desk: Desk) -> PublicKeyOf:
        """The public half of a kept key is no secret: everybody may have it."""
        if self.key.kid:
            return self._known(desk, self.key.kid)
        if self.kind is None:
            raise malformed("kind is missing: ed25519 or curve25519", "/kind")
        private = desk.private(self.key, self.kind, "/key", new=False)
        return PublicKeyOf(kind=self.kind, public_key=public_of(self.kind, private))

    def _known(self, desk: Desk, kid: str) -> PublicKeyOf:
        key = desk.find(kid, "/key")
        fault = desk.trouble(key, new=False)
        if key.kind not in ("ed25519", "curve25519") or not key.public:
            fault = f"is of kind {key.kind}, and has no public half"
        elif self.kind not in (None, key.kind):
            fault = f"is of kind {key.kind}, not {self.kind}"
        if fault is not None:
            raise refuse(f"this key {fault}", "/key")
        return PublicKeyOf(kind=key.kind, public_key=key.public)


class KeyFault(msgspec.Struct, frozen=True):
    """One thing that is wrong, and where."""

    pointer: str
    detail: str


class ValidatedKey(Reply, tag="validate_key"):
    """The verdict."""

    valid: bool
    errors: list[KeyFault]


class ValidateKey(Operation, tag="validate_key"):
    """Say what is wrong with a key: encoding, length, low order, not canonical, mismatched halves, state, expiry."""

    kind: Annotated[Kind | None, Meta(description="Needed unless the key is named by its `kid`.")] = None
    public_key: Text | None = None
    private_key: Text | None = None
    key: Annotated[str, Meta(max_length=1024, description="A secret key.")] | None = None
    kid: Annotated[str, Meta(pattern=f"^{KID}$", description="A key that the server knows.")] | None = None

    def run(self, desk: Desk) -> ValidatedKey:
        """Judge each part that is given; a bad key is a good answer."""
        if self.kid is not None:
            errors = self._judge_known(desk, self.kid)
        elif self.kind is None:
            raise malformed("kind is missing: ed25519, curve25519 or secret", "/kind")
        else:
            errors = self._judge_given(self.kind)
        return ValidatedKey(valid=not errors, errors=errors)

    def _judge_known(self, desk: Desk, kid: str) -> list[KeyFault]:
        key = desk.find(kid, "/kid")
        fault = desk.trouble(key, new=True)
        if self.kind not in (None, key.kind):
            fault = f"is of kind {key.kind}, not {self.kind}"
        elif fault is None and key.kind in ("ed25519", "curve25519") and key.public:
            fault = judge_public(key.kind, key.public)
        return [] if fault is None else [KeyFault("#/kid", f"this key {fault}")]

    def _judge_given(self, kind: Kind) -> list[KeyFault]:
        names = ("key",) if kind == "secret" else ("public_key", "private_key")
        texts = {name: getattr(self, name) for name in ("public_key", "private_key", "key")}
        given = {name: text for name, text in texts.items() if text is not None}
        for name in given.keys() - set(names):
            raise malformed(f"a key of kind {kind} has no {name}: give {' or '.join(names)}", f"/{name}")
        if not given:
            raise malformed(f"there is nothing to judge: give {' or '.join(names)}")
        errors: list[KeyFault] = []
        raws: dict[str, bytes] = {}
        for name, text in given.items():
            try:
                raws[name] = raw = decode(text)
            except ValueError as error:
                errors.append(KeyFault(f"#/{name}", str(error)))
                continue
            fault = judge_public(kind, raw) if name == "public_key" else judge_half(kind, raw)
            if fault is not None:
                errors.append(KeyFault(f"#/{name}", f"this key {fault}"))
        if not errors and len(raws) == 2 and public_of(kind, raws["private_key"][:SIZE]) != raws["public_key"]:
            errors.append(KeyFault("#/public_key", "this key is not the public half of private_key"))
        return errors


class RegisteredKey(Reply, tag="register_key"):
    """The key's id, by which envelopes name it."""

    kid: str
    owner: str
    kind: str
    expires: str | None = None


class RegisterKey(Operation, tag="register_key"):
    """Give the server a public Curve25519 key that events are sealed to from then on.

    The same key once more is answered with the same `kid`, until it has expired or is revoked.
    """

    owner: Owner
    public_key: Binary
    expires: Lifetime | None = None

    def run(self, desk: Desk) -> RegisteredKey:
        """Refused with 403 unless `register` lists the owner."""
        fault = judge_public("curve25519", self.public_key)
        if fault is not None:
            raise refuse(f"this key {fault}", "/public_key")
        key = desk.register(self.owner, bytes(self.public_key), self.expires)
        expires = None if key.expires == float("inf") else written(key.expires)
        return RegisteredKey(kid=key.kid, owner=key.owner, kind=key.kind, expires=expires)


def _libsodium(kind: str, private: bytes) -> bytes:
    """Return a private half as libsodium has it."""
    return bytes(crypto_sign_seed_keypair(private)[1]) if kind == "ed25519" else private
