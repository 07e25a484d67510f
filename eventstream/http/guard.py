"""Who may ask at all: Host, Origin, CORS, and the client's address behind proxies."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from eventstream.config.model import Server
from eventstream.errors import Reject

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?\Z")
_TOKENS = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?:[ \t]*,[ \t]*[A-Za-z0-9!#$%&'*+.^_`|~-]+)*\Z")
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
EXPOSED = "RateLimit, RateLimit-Policy, Retry-After, X-Request-Id, Preference-Applied"


class Guard:
    """Judges a request by where it says it comes from and goes to."""

    def __init__(self, server: Server) -> None:
        """Take the server's settings."""
        self._cors = server.cors
        self._any_origin = "*" in server.cors.origins
        names = frozenset(name.lower() for name in server.hosts)
        loopback = _LOOPBACK_NAMES | {server.bind.rpartition(":")[0].lower()}
        self._hosts = names or (loopback if server.loopback else frozenset())
        self._proxies = [ipaddress.ip_network(network) for network in server.proxies]

    def check_host(self, host: str | None, protocol: str) -> None:
        """Refuse a request that is not for us: 400 for no proper Host (RFC 9112 3.2), 421 for another's."""
        if host is None and protocol == "HTTP/1.0":
            return
        match = _HOST.match(host or "")
        if match is None:
            raise Reject("the request has no valid Host header", status=400, reason="host")
        if self._hosts and match[1].lower() not in self._hosts:
            raise Reject("this server does not answer to that Host", status=421, reason="host")

    def check_origin(self, origin: str | None, host: str | None, path: str) -> None:
        """Refuse a page of an origin that is not allowed; a page of our own host always is."""
        if origin is None or self.allows(origin, path) or _is_own(origin, host):
            return
        raise Reject("pages of this origin may not use this server", status=403, reason="origin", private=origin[:200])

    def foreign(self, origin: str | None, host: str | None) -> bool:
        """Tell whether a page of another origin asks, and may not do so as its user (`cors.credentials`)."""
        return origin is not None and not self._cors.credentials and not _is_own(origin, host)

    def allows(self, origin: str, path: str) -> bool:
        """Tell whether `cors` lets this origin use this path."""
        covered = any(path == prefix or path.startswith(f"{prefix.rstrip('/')}/") for prefix in self._cors.paths)
        return covered and (self._any_origin or origin in self._cors.origins)

    def cors_headers(self, origin: str, path: str) -> dict[str, str]:
        """Return what lets the page read the answer."""
        headers = {}
        if self.allows(origin, path):
            exact = self._cors.credentials or not self._any_origin
            headers["Access-Control-Allow-Origin"] = origin if exact else "*"
            headers["Access-Control-Expose-Headers"] = EXPOSED
            if self._cors.credentials:
                headers["Access-Control-Allow-Credentials"] = "true"
        return headers

    def preflight_headers(self, headers: Mapping[str, str], methods: Sequence[str]) -> dict[str, str]:
        """Return the answer to a preflight of an allowed origin."""
        wanted = headers.get("access-control-request-headers", "")
        answer = {"Access-Control-Allow-Methods": ", ".join(methods), "Access-Control-Max-Age": "600"}
        if _TOKENS.match(wanted) and len(wanted) <= 1000:
            answer["Access-Control-Allow-Headers"] = wanted
        return answer

    def client(self, peer: str, headers: Mapping[str, str]) -> str:
        """Return the client's address: the peer, or the right-most hop that is no trusted proxy.

        A proxy writes one of two headers and passes the other on as it came: where they differ, none is believed.
        """
        if not self.proxied(peer):
            return peer
        found = {self._client_of(hops, peer) for hops in _hops(headers)}
        return found.pop() if len(found) == 1 else peer

    def _client_of(self, hops: Sequence[str], peer: str) -> str:
        for hop in reversed(hops):
            if not _is_address(hop):
                return peer
            if not self.proxied(hop):
                return hop
        return peer

    def proxied(self, peer: str) -> bool:
        """Tell whether this address is one of `server.proxies`, whose word on the client is believed."""
        if not self._proxies:
            return False
        try:
            parsed = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(parsed in network for network in self._proxies)


def _is_own(origin: str, host: str | None) -> bool:
    return bool(host) and origin.partition("://")[2].lower() == str(host).lower()


def _hops(headers: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield the addresses of Forwarded (RFC 7239) and of X-Forwarded-For, each left to right."""
    forwarded, plain = headers.get("forwarded"), headers.get("x-forwarded-for")
    if forwarded is not None:
        found = re.findall(r'(?:^|[;,\s])for="?(\[[^\]]*\]|[^;,"\s:]+)', forwarded, re.IGNORECASE)
        yield [hop.strip("[]") for hop in found]
    if plain is not None:
        yield [hop.strip().strip("[]") for hop in plain.split(",") if hop.strip()]


@lru_cache(maxsize=1024)
def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
