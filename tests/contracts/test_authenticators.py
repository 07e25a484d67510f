"""Every built-in authenticator keeps the promises of one."""

import hashlib
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from eventstream import Identity, Key, Keys, Request
from eventstream.hooks.catalogue import build_catalogue
from eventstream.hooks.manager import load_plugins
from eventstream.testing.authenticator_contract import AuthenticatorContract
from eventstream_plugins.api_key import ApiKeyAuthenticator
from eventstream_plugins.client_certificate import ClientCertificateAuthenticator
from eventstream_plugins.jwt import JwtAuthenticator
from eventstream_plugins.ticket.authenticator import TicketAuthenticator
from eventstream_plugins.ticket.route import TicketsRoute

ANN = Identity("ann", "jwt", ("token:1",))
SIGNER = Ed25519PrivateKey.generate()
STRANGER = Ed25519PrivateKey.generate()


def bearer(text):
    return Request("GET", "/events", {"authorization": f"Bearer {text}"})


class TestApiKey(AuthenticatorContract):
    authenticator = ApiKeyAuthenticator
    text = f"esk_shop-1_{'s3cretT3xt' * 4}"

    def make(self, services, folder):
        def key(kid, text, **fields):
            return Key(kid, "shop", "api-key", public=hashlib.sha256(text.encode()).digest(), **fields)

        self.revoked = f"esk_shop-2_{'otherT3xt' * 4}"
        self.ended = f"esk_shop-3_{'thirdT3xt' * 4}"
        services.keys = Keys([
            key("shop-1", self.text, expires=services.now() + 60), key("shop-2", self.revoked, state="revoked"),
            key("shop-3", self.ended, expires=services.now() - 1),
        ])  # fmt: skip
        return ApiKeyAuthenticator.create()

    def good(self, services):
        return bearer(self.text)

    def bad(self, services):
        return {
            "unknown": bearer(f"esk_shop-9_{'s3cretT3xt' * 4}"),
            "wrong": bearer(f"{self.text[:-1]}x"),
            "revoked": bearer(self.revoked),
            "expired": bearer(self.ended),
            "malformed": bearer("esk_shop-1"),
        }


class TestJwt(AuthenticatorContract):
    authenticator = JwtAuthenticator

    def make(self, services, folder):
        entry = jwt.get_algorithm_by_name("EdDSA").to_jwk(SIGNER.public_key(), as_dict=True)
        (folder / "jwks.json").write_text(json.dumps({"keys": [{**entry, "kid": "idp-1"}]}))
        return JwtAuthenticator.create({"audience": ["events"], "jwks": "jwks.json"})

    def token(self, services, signer=SIGNER, **claims):
        now = int(services.now())
        claims = {"sub": "shop", "aud": "events", "jti": "t1", "exp": now + 60, **claims}
        return bearer(jwt.encode(claims, signer, "EdDSA", {"kid": "idp-1"}))

    def good(self, services):
        return self.token(services)

    def bad(self, services):
        now = int(services.now())
        return {
            "forged": self.token(services, STRANGER),
            "expired": self.token(services, exp=now - 600),
            "early": self.token(services, nbf=now + 600),
            "for another": self.token(services, aud="others"),
            "cut": bearer(self.token(services).headers["authorization"].split()[1][:-4]),
        }


class TestClientCertificate(AuthenticatorContract):
    authenticator = ClientCertificateAuthenticator

    def make(self, services, folder):
        return ClientCertificateAuthenticator.create({})

    def request(self, dn, *, proxied=True, verify="SUCCESS"):
        headers = {"x-ssl-client-s-dn": dn, "x-ssl-client-verify": verify}
        return Request("GET", "/events", headers, proxied=proxied)

    def secrets(self, request):
        return []  # a name is none

    def good(self, services):
        return self.request("CN=shop,O=Example")

    def bad(self, services):
        return {
            "not by the proxy": self.request("CN=shop", proxied=False),
            "not verified": self.request("CN=shop", verify="FAILED"),
            "no name": self.request("O=Example"),
        }


class TestTicket(AuthenticatorContract):
    authenticator = TicketAuthenticator
    single_use = True

    def make(self, services, folder):
        self.route = TicketsRoute.create({})
        services.admit = lambda *_: None
        self.route.open(services)
        return TicketAuthenticator.create()

    def request(self, text):
        return Request("GET", "/events", {}, query={"ticket": [text]})

    def good(self, services):
        asked = Request("POST", "/tickets", {"content-type": "application/json"}, b"", b"", identity=ANN)
        return self.request(json.loads(self.route.handle(asked).body)["ticket"])

    def bad(self, services):
        return {"unknown": self.request("A" * 43), "malformed": self.request("x")}


@pytest.mark.parametrize("name", sorted(build_catalogue(load_plugins()).offers["authenticator"]))
def test_every_authenticator_is_here(name):
    suites = [suite for suite in AuthenticatorContract.__subclasses__() if suite.authenticator.name == name]
    assert suites
