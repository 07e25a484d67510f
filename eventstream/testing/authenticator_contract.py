"""What every authenticator promises, as a suite: subclass AuthenticatorContract and fill in its requests."""

# ruff: noqa: D102, S101  # a suite is made of asserts, and a test's name says what it shows

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from eventstream import Authenticator, Grant, Identity, Reject, Request
from eventstream.testing.deadline import Clock
from eventstream.testing.services import PlainServices
from eventstream.testing.step_runner import plain_node

CHALLENGE_SCHEMES = {"apiKey", "http", "oauth2", "openIdConnect", "mutualTLS"}  # OpenAPI 3.1
QUICK = 0.5  # seconds that judging one hostile request may take


class AuthenticatorContract:
    """The promises of an authenticator. Write `make`, `good` and `bad`."""

    authenticator: ClassVar[type[Authenticator]]
    single_use: ClassVar[bool] = False  # True: a credential is good for one request

    def make(self, services: PlainServices, folder: Path) -> Authenticator:
        """Return one, not yet open, that accepts `good`; put the keys and files that it needs in place."""
        raise NotImplementedError

    def good(self, services: PlainServices) -> Request:
        """Return a request with a credential that counts now."""
        raise NotImplementedError

    def bad(self, services: PlainServices) -> Mapping[str, Request]:
        """Return requests whose credential is of this kind and does not count, by what is wrong."""
        raise NotImplementedError

    def secrets(self, request: Request) -> list[str]:
        """Return the texts of a request that must not be repeated: its long header and query values."""
        values = [*request.headers.values(), *(value for values in request.query.values() for value in values)]
        return [word for value in values for word in value.split() if len(word) >= 16]

    @pytest.fixture
    def services(self, tmp_path: Path) -> PlainServices:
        services = plain_node(tmp_path)
        services.clock = Clock()
        return services

    @pytest.fixture
    def opened(self, services: PlainServices, tmp_path: Path) -> Iterator[Authenticator]:
        authenticator = self.make(services, tmp_path)
        problems = [str(problem) for problem in authenticator.check(str(tmp_path), services.keys)]
        assert problems == []
        authenticator.open(services)
        yield authenticator
        authenticator.close()
        authenticator.close()

    def test_it_is_described(self) -> None:
        assert self.authenticator.__doc__
        assert self.authenticator.name
        assert self.authenticator.scheme.get("type") in CHALLENGE_SCHEMES

    @pytest.mark.parametrize("headers", [{}, {"authorization": "Other x"}, {"cookie": "theme=dark"}, {"accept": "*/*"}])
    def test_a_request_without_a_credential_is_somebody_else_s(
        self, opened: Authenticator, headers: dict[str, str]
    ) -> None:
        assert opened.authenticate(Request("GET", "/events", headers, query={"type": ["a"]})) is None

    def test_a_good_credential_gives_an_identity_that_can_be_used(
        self, opened: Authenticator, services: PlainServices
    ) -> None:
        identity = opened.authenticate(self.good(services))
        assert isinstance(identity, Identity)
        assert identity.by
        assert 0 < len(identity.name) <= 256
        assert identity.name.isprintable()
        assert identity.name != "anonymous"
        assert identity.expires > services.now()
        assert identity.grants is None or all(isinstance(grant, Grant) for grant in identity.grants)
        for credential in identity.credentials:
            kind, _, rest = credential.partition(":")
            assert kind
            assert rest
            assert len(credential) <= 512
            assert credential.isprintable()

    def test_an_identity_shows_no_secret(self, opened: Authenticator, services: PlainServices) -> None:
        request = self.good(services)
        shown = repr(opened.authenticate(request))
        assert not [secret for secret in self.secrets(request) if secret in shown]

    def test_the_same_credential_is_the_same_identity(self, opened: Authenticator, services: PlainServices) -> None:
        request = self.good(services)
        first = opened.authenticate(request)
        if self.single_use:
            with pytest.raises(Reject):
                opened.authenticate(request)
        else:
            assert opened.authenticate(request) == first

    def test_a_credential_that_expires_is_refused_from_that_second_on(
        self, opened: Authenticator, services: PlainServices
    ) -> None:
        request = self.good(services)
        identity = opened.authenticate(request)
        assert identity is not None
        if identity.expires == math.inf or self.single_use:
            pytest.skip("this credential ends by use or revocation")
        services.clock = lambda: identity.expires + 3600
        with pytest.raises(Reject) as caught:
            opened.authenticate(request)
        assert caught.value.status == 401

    def test_what_is_bad_is_one_text_for_the_sender_and_a_reason_for_the_log(
        self, opened: Authenticator, services: PlainServices
    ) -> None:
        cases = self.bad(services)
        assert cases
        told = set()
        for fault, request in cases.items():
            with pytest.raises(Reject) as caught:
                pytest.fail(f"{fault}: accepted as {opened.authenticate(request)}")
            refusal = caught.value
            assert refusal.status == 401, fault
            assert refusal.private, fault
            assert refusal.private != refusal.detail, fault
            told.add((refusal.detail, refusal.reason))
            for text in (refusal.private, refusal.detail):
                assert not [secret for secret in self.secrets(request) if secret in text], fault
        assert len(told) == 1

    @pytest.mark.parametrize("kind", ["Bearer ", "bearer ", "Bearer", ""])
    def test_junk_is_judged_quickly(self, opened: Authenticator, kind: str) -> None:
        for value in ("", " ", "é" * 100, "\x00", *(character * 65536 for character in ".A=_-")):
            began = time.perf_counter()
            status = _status(opened, Request("GET", "/events", {"authorization": f"{kind}{value}"}))
            assert status in (None, 401)
            assert time.perf_counter() - began < QUICK


def _status(authenticator: Authenticator, request: Request) -> int | None:
    """Return the status of a refusal, None for a request that is none of its business; 200 for an identity."""
    try:
        return None if authenticator.authenticate(request) is None else 200
    except Reject as refusal:
        return refusal.status
