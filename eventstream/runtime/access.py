"""Who asks, and whether they may: the section `auth` at work.

401 is for those whom nobody knows, and says how to become known; 403 for those who are known, and
says what was refused and what is granted. Why a credential is not good is told to the log alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import msgspec

from eventstream.components.identity import ANONYMOUS, Grant, Identity, Right
from eventstream.components.key import Keys
from eventstream.components.step import Request
from eventstream.config.model import Auth
from eventstream.errors import Reject
from eventstream.events.cover import covers, in_words
from eventstream.events.event import Event
from eventstream.events.filter import Filter
from eventstream.runtime.grants import Grants
from eventstream.runtime.revocations import Revocations

Ended = Literal["expired", "revoked"]
Told = Callable[[Reject, Identity | None, str], None]

MAX_NAME = 256  # characters of an identity's name
REFUSED = frozenset({"credential", "unknown", "grant"})  # the reasons of every refusal made here
_SHOWN = 200  # characters of an attribute that are repeated
_SAFE = frozenset({"GET", "HEAD"})


class Access:
    """Judges requests, events and filters by who asks."""

    def __init__(
        self, auth: Auth, revocations: Revocations, now: Callable[[], float], told: Told, keys: Keys | None = None
    ) -> None:
        """`told` is called with each refusal that is raised here, whose it is, and the client's address."""
        self._keys = keys or Keys()
        self.chain = auth.chain
        self._grants = Grants(auth.grants)
        self._revocations = revocations
        self._now = now
        self._told = told
        challenges = dict.fromkeys(one.challenge for one in auth.chain if one.challenge)
        self._challenge = {"WWW-Authenticate": ", ".join(challenges)} if challenges else {}

    # -- who asks -----------------------------------------------------------------------------------

    def identify(self, request: Request) -> Identity | None:
        """Return who asks, None for nobody we know; raises Reject 401 for a credential that is not good.

        Browsers send cookies on their own, whatever page makes them: one only ever lets its owner read, and counts
        for nothing where a page of another origin asks.
        """
        headers = request.headers
        bare = request
        if "cookie" in headers:
            bare = msgspec.structs.replace(
                request, headers={name: value for name, value in headers.items() if name != "cookie"}
            )
        identity = self._ask(bare)
        if identity is None and bare is not request and request.method in _SAFE and not request.foreign:
            identity = self._ask(request)
            if identity is not None:
                grants = (Grant("subscribe"),) if identity.grants is None else identity.grants
                identity = replace(identity, grants=tuple(one for one in grants if one.right == "subscribe"))
        if identity is None and "authorization" in headers:
            raise self._bad(request, "no authenticator takes this kind of credential")
        return identity

    def _ask(self, request: Request) -> Identity | None:
        for authenticator in self.chain:
            if request.foreign and authenticator.ambient:
                continue
            try:
                identity = authenticator.authenticate(request)
            except Reject as refusal:
                if refusal.status != 401:
                    raise
                raise self._bad(request, f"{authenticator.name}: {refusal.private or refusal.detail}") from None
            if identity is not None:
                fault = self._fault(identity)
                if fault:
                    raise self._bad(request, f"{authenticator.name}: {fault}")
                return identity
        return None

    def _fault(self, identity: Identity) -> str | None:
        """Say why an identity does not count, None when it does."""
        name = identity.name
        if not name or len(name) > MAX_NAME or not name.isprintable() or name == ANONYMOUS:
            return "the identity has a name that cannot be used"
        if self.expires(identity) <= self._now():
            return f"the credential of {name} has expired"
        return f"the credential of {name} is revoked" if self._revocations.revoked(identity) else None

    def _bad(self, request: Request, reason: str) -> Reject:
        refusal = self._not_accepted(reason)
        self._told(refusal, None, request.client)
        return refusal

    def _not_accepted(self, reason: str) -> Reject:
        return Reject("the credential is not accepted", 401, "credential", headers=self._challenge, private=reason)

    def unfit(self, identity: Identity) -> Reject | None:
        """Return the refusal of an identity that does not count, None when it does; raises StoreBusy."""
        fault = self._fault(identity)
        return self._not_accepted(fault) if fault else None

    def ended(self, identity: Identity) -> Ended | None:
        """Say why a known identity no longer counts, None while it does. Never waits."""
        if self.expires(identity) <= self._now():
            return "expired"
        return "revoked" if self._revocations.known(identity) else None

    def expires(self, identity: Identity) -> float:
        """Return when an identity counts no more: a key of ours may have been given an end since it was used."""
        expires = identity.expires
        for credential in identity.credentials:  # plainly: every request comes this way
            if credential.startswith("key:"):
                key = self._keys.find(credential[4:])
                expires = min(expires, key.expires) if key is not None else expires
        return expires

    @property
    def revision(self) -> int:
        """A number that changes whenever `expires` may."""
        return self._keys.revision

    # -- what they may ------------------------------------------------------------------------------

    def publisher(self, identity: Identity | None) -> Callable[[Event], Reject | None]:
        """Return what judges events as received: it returns an event's refusal, None when it may be published."""
        if identity is not None and (unfit := self.unfit(identity)):
            return lambda _: unfit
        layers = [rights.get("publish", ()) for rights in self._grants.layers(identity)]

        def judge(event: Event) -> Reject | None:
            for scopes in layers:
                if not any(scope.matches(event) for scope in scopes):
                    what = f"publish events of type {_short(event.type)} and source {_short(event.source)}"
                    return self._refusal(identity, what, scopes)
            return None

        return judge

    def enter(self, identity: Identity | None, client: str) -> None:
        """Raise Reject for who may neither publish nor subscribe to anything: no connection is kept for them."""
        if not (self.grants(identity, "subscribe") or self.grants(identity, "publish")):
            self._refuse(identity, "subscribe", (), client)

    def admit(self, identity: Identity | None, filter: Filter, client: str = "") -> None:
        """Raise Reject unless `identity` may subscribe to all that the filter asks for."""
        self._stand(identity, client)
        for rights in self._grants.layers(identity):
            scopes = rights.get("subscribe", ())
            if not covers(scopes, filter):
                self._refuse(identity, f"subscribe to {_short(in_words([filter]))}", scopes, client)

    def require(self, identity: Identity | None, right: Right, client: str = "") -> None:
        """Raise Reject unless `identity` has the right."""
        self._stand(identity, client)
        for rights in self._grants.layers(identity):
            if right not in rights:
                self._refuse(identity, f"do this: it needs the right {right}", (), client)

    def grants(self, identity: Identity | None, right: Right) -> bool:
        """Tell whether somebody has a right at all, however narrow."""
        return all(right in rights for rights in self._grants.layers(identity))

    def _stand(self, identity: Identity | None, client: str) -> None:
        """Raise Reject for an identity that has ended since it was asked for. Never waits."""
        if identity is not None and (ended := self.ended(identity)):
            refusal = self._not_accepted(f"the credential of {identity.name} is {ended}")
            self._told(refusal, identity, client)
            raise refusal

    def _refuse(self, identity: Identity | None, what: str, scopes: Sequence[Filter], client: str) -> None:
        refusal = self._refusal(identity, what, scopes)
        self._told(refusal, identity, client)
        raise refusal

    def _refusal(self, identity: Identity | None, what: str, scopes: Sequence[Filter]) -> Reject:
        granted = f"; granted: {in_words(scopes)}" if scopes else ""
        if identity is None and self._challenge:
            return Reject(f"say who you are to {what}{granted}", 401, "unknown", headers=self._challenge)
        who = "somebody unknown" if identity is None else identity.name
        return Reject(f"{who} may not {what}{granted}", 403, "grant")


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
