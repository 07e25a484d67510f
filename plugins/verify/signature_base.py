"""The signature base of RFC 9421 section 2.5: the text that a signature is made over."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from eventstream import Request
from eventstream_plugins.verify.trust import refusal

MAX_COMPONENTS = 64
_FIELD = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+\Z")
_VALUE = re.compile(r"[\t -~]*\Z")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
DERIVED = ("@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query")

Covered = list[Any]  # an inner list as http_sf gives it: pairs of a name and its parameters


def names_of(covered: Covered) -> list[str]:
    """Return the names of the covered components; raises Reject for what is unknown here, or twice there."""
    if len(covered) > MAX_COMPONENTS:
        raise refusal("more components than are judged")
    names: list[str] = []
    for name, parameters in covered:
        if not isinstance(name, str) or not (name in DERIVED or _FIELD.match(name)):
            raise refusal("a component is unknown here")
        if parameters:
            raise refusal(f"component {name} has a parameter, none is known here")
        names.append(name)
    if len(set(names)) != len(names):
        raise refusal("a component is covered twice")
    return names


def signature_bases(
    request: Request, names: Sequence[str], parameters: Mapping[str, str | int], origin: str | None
) -> Iterator[bytes]:
    """Yield the text for each scheme under which the sender may know this server; raises Reject."""
    own = _serialized(names, parameters)
    schemes = [origin.partition(":")[0]] if origin else ["https", "http"]
    seen: set[str] = set()
    for scheme in schemes:
        values = _derived(request, scheme, origin)
        lines = [f'"{name}": {values[name] if name in values else _field(request, name)}' for name in names]
        text = "\n".join([*lines, f'"@signature-params": {own}'])
        if text not in seen:
            seen.add(text)
            yield text.encode("ascii")


def _serialized(names: Sequence[str], parameters: Mapping[str, str | int]) -> str:
    """Write what is covered as a structured field (RFC 9651 section 4.1.1.1); all texts are ASCII."""
    inner = " ".join(f'"{name}"' for name in names)
    return f"({inner})" + "".join(f";{name}={_bare(value)}" for name, value in parameters.items())


def _bare(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _derived(request: Request, scheme: str, origin: str | None) -> dict[str, str]:
    """Return the values of section 2.2."""
    target = request.target or request.path
    if not target.startswith("/"):
        raise refusal("the request's target is no path")
    path, mark, query = target.partition("?")
    authority = (urlsplit(origin).netloc if origin else request.headers.get("host", "")).lower()
    authority = authority.removesuffix(_DEFAULT_PORTS[scheme])
    return {
        "@method": request.method,
        "@target-uri": f"{scheme}://{authority}{target}",
        "@authority": authority,
        "@scheme": scheme,
        "@request-target": target,
        "@path": path,
        "@query": f"?{query}" if mark else "?",
    }


def _field(request: Request, name: str) -> str:
    """Return a header's value as it is signed (section 2.1)."""
    value = request.headers.get(name)
    if value is None:
        raise refusal(f"{name} is covered, but not there")
    value = value.strip(" \t")
    if not _VALUE.match(value):
        raise refusal(f"{name} holds more than ASCII")
    return value
