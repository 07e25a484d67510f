"""The authenticator `jwt`: bearer tokens of an identity provider (RFC 7519, judged after RFC 8725).

Rules for editors: a header is judged before a key is chosen, a key decides the algorithms it serves, and
claims are read only behind a good signature.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from eventstream import (
    Authenticator,
    Config,
    Duration,
    Identity,
    Keys,
    Meta,
    Problem,
    Request,
    Services,
    hookimpl,
)

from .claims import Rules, judge_parties, judge_times, read_grants, read_id, read_name
from .token import Header, bearer, read_header, read_object, refusal, split

if TYPE_CHECKING:
    from .keys import JwksFile, Signer

PUBLIC_KEY_ALGORITHMS = ("EdDSA", "ES256", "RS256")
Name = Annotated[str, Meta(min_length=1, max_length=256)]


class JwtConfig(Config, frozen=True):
    """Options of `jwt`."""

    audience: Annotated[
        list[Name],
        Meta(
            description="Names of this server; a token must be meant for one of them (`aud`).",
            min_length=1,
            examples=[["https://events.example"]],
        ),
    ]
    jwks: Annotated[
        str,
        Meta(
            description="File with the issuer's public keys (JWKS), read again when it changes.",
            examples=["keys/idp.jwks.json"],
        ),
    ] = ""
    keys: Annotated[
        list[Name],
        Meta(
            description="Owners or ids of keys of ours: `ed25519`, and `hmac` where `algorithms` has HS256.",
            examples=[["idp"]],
        ),
    ] = []  # noqa: RUF012  # msgspec copies an empty list
    algorithms: Annotated[
        list[Literal["EdDSA", "ES256", "RS256", "HS256"]],
        Meta(
            description="What tokens may be signed with. Empty: EdDSA, ES256 and RS256.",
            examples=[["EdDSA"]],
        ),
    ] = []  # noqa: RUF012  # as above
    issuer: Annotated[
        list[Name],
        Meta(
            description="Who may have made a token (`iss`); empty: anyone who has the key.",
            examples=[["https://id.example"]],
        ),
    ] = []  # noqa: RUF012  # as above
    skew: Annotated[
        Duration,
        Meta(
            description="How far the issuer's clock may be ahead of ours, for `nbf` and `iat`. `exp` has no leeway.",
            examples=["30s"],
        ),
    ] = Duration(30)
    name: Annotated[Name, Meta(description="The claim that names the caller.", examples=["sub", "client_id"])] = "sub"
    prefix: Annotated[
        str,
        Meta(
            description="Put before the name, so that nobody can be named like a caller of another authenticator.",
            max_length=64,
            examples=["user:"],
        ),
    ] = ""
    grants: Annotated[
        Name, Meta(description="The claim that carries grants, where a token does.", examples=["eventstream"])
    ] = "eventstream"

    def __post_init__(self) -> None:
        """Refuse what the types let through."""
        if not self.jwks and not self.keys:
            raise ValueError("jwks: tokens are checked by keys: name a JWKS file here, or keys of ours in `keys`")
        if "HS256" in self.algorithms and not self.keys:
            raise ValueError("algorithms: HS256 needs `keys` of kind hmac")


class JwtAuthenticator(Authenticator):
    """Know callers by a signed JWT in `Authorization: Bearer`.

    Taken are tokens of at most 8 KiB signed by EdDSA (Ed25519), ES256 or RS256 with a key of the JWKS file
    or of ours, and by HS256 only where that is written. A key serves its own algorithm alone. `kid`
    chooses the key; a token without it is taken when just one key fits. Required are `exp`, `aud` and the
    claim that names the caller; `nbf` and `iat` count where they stand. Refused are `alg: none`, a header
    with `jwk`, `jku`, `x5u`, `x5c`, `crit` or `b64`, and duplicate keys in the JSON. A token is never read
    from the query.

    The claim `eventstream` may carry grants: `{"publish": ["shop.*"], "subscribe": [{"type": "shop.*",
    "source": "/till/1"}], "crypto": true}`; one that is malformed refuses the token. The identity can be
    revoked by `token:<jti>`, `key:<kid>` and `name:<name>`, and ends at `exp`, or when a key of ours does.
    """

    name = "jwt"
    Config = JwtConfig
    config: JwtConfig
    challenge = "Bearer"
    scheme: ClassVar[Mapping[str, Any]] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    examples: ClassVar[list[Any]] = [
        {"jwks": "keys/idp.jwks.json", "audience": ["https://events.example"], "issuer": ["https://id.example"]},
        {"keys": ["idp"], "audience": ["events"], "skew": "1m", "prefix": "user:"},
    ]

    def __init__(self, config: JwtConfig | None = None) -> None:
        super().__init__(config)
        self._rules = Rules(
            frozenset(self.config.audience),
            frozenset(self.config.issuer),
            float(self.config.skew),
            self.config.name,
            self.config.grants,
        )
        named = frozenset(self.config.algorithms or PUBLIC_KEY_ALGORITHMS)
        self._algorithms = named | {"Ed25519"} if "EdDSA" in named else named

    def check(self, folder: str, keys: Keys) -> Iterable[Problem]:
        """Judge the JWKS file and the named keys."""
        from .keys import SECRET_BYTES, from_key, read_jwks  # noqa: PLC0415  # costly, see there

        if self.config.jwks:
            path = Path(folder, self.config.jwks)
            try:
                read_jwks(path)
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                yield Problem(f"{path} cannot be used: {reason}", "/jwks", 'a JWKS is {"keys": [{"kty": …}]}')
        kinds = {"ed25519", "hmac"} if "HS256" in self.config.algorithms else {"ed25519"}
        for index, name in enumerate(self.config.keys):
            trouble = keys.trouble(name, kinds, f"/keys/{index}")
            if trouble is not None:
                yield trouble
            if any(key.kind == "hmac" and key.private and from_key(key) is None for key in keys.of(name)):
                hint = f"a secret of {SECRET_BYTES} random bytes or more, and no public key's text"
                yield Problem(f"key {name} is no secret for HS256", f"/keys/{index}", hint)

    def open(self, services: Services) -> None:
        """Read the JWKS file; raises ConfigError."""
        from . import keys  # noqa: PLC0415  # costly, see there

        self._services = services
        self._from_key = keys.from_key
        self._file: JwksFile | None = (
            keys.JwksFile(Path(services.folder, self.config.jwks), services) if self.config.jwks else None
        )
        self._own: Sequence[Signer] = ()
        self._own_revision: int | None = None

    def authenticate(self, request: Request) -> Identity | None:
        """Return whom a bearer JWT names; None without one. Raises Reject 401."""
        token = bearer(request.headers.get("authorization", ""))
        if token is None:
            return None
        header = read_header(token)
        signer = self._choose(header)
        message, payload, signature = split(token)
        if not signer.signed(message, signature):
            raise refusal("the signature is not the key's")
        return self._identity(read_object(payload, "payload"), signer)

    def _choose(self, header: Header) -> Signer:
        """Return the one key that the header means; raises Reject."""
        algorithm, kid = header
        if algorithm not in self._algorithms:
            raise refusal("alg is not one of ours")
        signers = self._signers()
        if kid is not None:
            signers = [signer for signer in signers if signer.kid == kid]
            if not signers:
                raise refusal(f"there is no key {kid}")
        fitting = [signer for signer in signers if algorithm in signer.algorithms]
        if not fitting:
            raise refusal(f"alg {algorithm} is not what the key is for")
        now = self._services.now()
        good = [signer for signer in fitting if signer.state is None or signer.state.accepted(now)]
        if not good:
            raise refusal("the key is revoked, has expired or is not valid yet")
        if len(good) > 1:
            raise refusal("several keys fit: name one by kid")
        return good[0]

    def _signers(self) -> Sequence[Signer]:
        keys = self._services.keys
        revision = keys.revision
        if revision != self._own_revision:
            found = {key.kid: key for name in self.config.keys for key in keys.of(name)}
            usable = (self._from_key(key) for key in found.values() if key.purpose in ("", "token"))
            self._own = [signer for signer in usable if signer is not None]
            self._own_revision = revision
        return [*self._own, *(self._file.signers() if self._file is not None else ())]

    def _identity(self, claims: dict[str, Any], signer: Signer) -> Identity:
        expires = judge_times(claims, self._services.now(), self._rules.skew)
        if signer.state is not None:
            expires = min(expires, signer.state.expires)
        judge_parties(claims, self._rules)
        name = self.config.prefix + read_name(claims, self._rules.name)
        ident = read_id(claims)
        credentials = [f"name:{name}"]
        if ident is not None:
            credentials.append(f"token:{ident}")
        if signer.kid is not None:
            credentials.append(f"key:{signer.kid}")
        return Identity(name, self.name, tuple(credentials), expires, read_grants(claims, self._rules.grants))


@hookimpl
def eventstream_authenticators() -> Sequence[type[Authenticator]]:
    """Offer `jwt`."""
    return [JwtAuthenticator]
