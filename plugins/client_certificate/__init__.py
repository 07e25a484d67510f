"""The authenticator `client-certificate`: names in certificates that a trusted proxy has checked."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from eventstream import Authenticator, Config, Identity, Meta, Reject, Request, Services, hookimpl

from .names import Named, common_name, parse_dn, parse_xfcc

MAX_HEADER = 16 * 1024
MAX_NAME = 256
_HASH = re.compile(r"[0-9a-fA-F]{64}\Z")
_HEADERS = {"dn": "x-ssl-client-s-dn", "xfcc": "x-forwarded-client-cert", "rfc9440": "client-cert"}


class ClientCertificateConfig(Config, frozen=True):
    """Options of `client-certificate`."""

    form: Annotated[
        Literal["dn", "xfcc", "rfc9440"],
        Meta(
            description="What the proxy sends: `dn`, the subject's distinguished name (nginx's `$ssl_client_s_dn`); "
            "`xfcc`, Envoy's X-Forwarded-Client-Cert; `rfc9440`, the certificate itself in Client-Cert.",
            examples=["dn"],
        ),
    ] = "dn"
    header: Annotated[
        str,
        Meta(
            description="The header that it comes in, in lower case. Default: `x-ssl-client-s-dn`, "
            "`x-forwarded-client-cert` or `client-cert`, by `form`.",
            pattern="^[a-z0-9-]*$",
            examples=["x-ssl-client-s-dn"],
        ),
    ] = ""
    verified: Annotated[
        str,
        Meta(
            description="With `form: dn`, the header in which the proxy says SUCCESS once it has checked the "
            "certificate (nginx's `$ssl_client_verify`).",
            pattern="^[a-z0-9-]+$",
            examples=["x-ssl-client-verify"],
        ),
    ] = "x-ssl-client-verify"
    name: Annotated[
        Literal["cn", "dn", "uri"],
        Meta(
            description="What names the caller: the one CN of the subject, its whole name as the proxy writes it, or "
            "the one URI among the alternative names (SPIFFE; not with `form: dn`).",
            examples=["cn"],
        ),
    ] = "cn"
    prefix: Annotated[
        str,
        Meta(
            description="Put before the name, so that nobody can be named like a caller of another authenticator.",
            max_length=64,
            examples=["host:"],
        ),
    ] = ""

    def __post_init__(self) -> None:
        """Refuse what the types let through."""
        if self.form == "dn" and self.name == "uri":
            raise ValueError("name: a distinguished name has no URI; take form: xfcc or form: rfc9440")


class ClientCertificateAuthenticator(Authenticator):
    """Know callers by the client certificate that a proxy in front has checked.

    The proxy ends TLS and passes the name on in a header, which it must overwrite in every request. It is
    believed only from a peer in `server.proxies`; from anybody else a request with it is refused. With
    `form: dn` a second header must say SUCCESS. A name with two CNs is refused. With `form: rfc9440` the
    identity ends when the certificate does.

    Pages of other origins are not known by it, unless `server.cors.credentials` lets them.

    The identity can be revoked by `name:<name>`, and by `certificate:<SHA-256 in hex>` where the form tells it.
    """

    name = "client-certificate"
    Config = ClientCertificateConfig
    config: ClientCertificateConfig
    scheme: ClassVar[Mapping[str, Any]] = {"type": "mutualTLS"}
    ambient = True
    examples: ClassVar[list[Any]] = [{}, {"form": "xfcc", "name": "uri"}, {"form": "rfc9440", "prefix": "host:"}]

    def __init__(self, config: ClientCertificateConfig | None = None) -> None:
        super().__init__(config)
        self._header = self.config.header or _HEADERS[self.config.form]
        self._read: Callable[[str], Named] = self._from_xfcc if self.config.form == "xfcc" else self._from_dn

    def open(self, services: Services) -> None:
        """Keep what tells the time."""
        self._now = services.now
        if self.config.form == "rfc9440":
            from .certificate import read_certificate  # noqa: PLC0415  # costly, see there

            self._read = partial(read_certificate, take=self.config.name)

    def authenticate(self, request: Request) -> Identity | None:
        """Return whom the proxy names; None where it names nobody. Raises Reject 401."""
        text = request.headers.get(self._header, "")
        if not text:
            return None
        if not request.proxied:
            raise _refusal(f"{self._header} came from a peer that is not in server.proxies")
        if len(text) > MAX_HEADER:
            raise _refusal(f"{self._header} has more than {MAX_HEADER} characters")
        if self.config.form == "dn" and request.headers.get(self.config.verified) != "SUCCESS":
            raise _refusal(f"{self.config.verified} does not say SUCCESS")
        try:
            named = self._read(text)
        except ValueError as error:
            raise _refusal(f"{self._header}: {error}") from None
        if not named.name.isprintable() or not 0 < len(named.name) <= MAX_NAME or named.name != named.name.strip():
            raise _refusal(f"the name is no printable text of at most {MAX_NAME} characters")
        if named.expires <= self._now():
            raise _refusal("the certificate has expired")
        name = self.config.prefix + named.name
        credentials = [f"name:{name}", *([f"certificate:{named.fingerprint}"] if named.fingerprint else [])]
        return Identity(name, self.name, tuple(credentials), named.expires)

    def _from_dn(self, text: str) -> Named:
        attributes = parse_dn(text)
        return Named(text.encode("latin-1").decode() if self.config.name == "dn" else common_name(attributes))

    def _from_xfcc(self, text: str) -> Named:
        fields = parse_xfcc(text)
        hash = _one(fields, "hash") if "hash" in fields else ""
        if hash and not _HASH.match(hash):
            raise ValueError("Hash is no SHA-256")
        name = _one(fields, "uri") if self.config.name == "uri" else self._from_dn(_one(fields, "subject")).name
        return Named(name, hash.lower())


def _one(fields: Mapping[str, Sequence[str]], name: str) -> str:
    values = fields.get(name, ())
    if len(values) != 1:
        raise ValueError(f"{len(values) or 'no'} {name} in it, one is needed")
    return values[0]


def _refusal(private: str) -> Reject:
    return Reject("the credential is not valid", 401, "credential", private=private)


@hookimpl
def eventstream_authenticators() -> Sequence[type[Authenticator]]:
    """Offer `client-certificate`."""
    return [ClientCertificateAuthenticator]
