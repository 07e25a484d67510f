"""What the schemes have in common."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple
from urllib.parse import quote

from eventstream import ANONYMOUS_SOURCE, Event, Form, Key, Reject, Request, Services, decode_json
from eventstream_plugins.verify.options import VerifyConfig
from eventstream_plugins.verify.trust import OFFLOAD_FROM, Trust


class Verdict(NamedTuple):
    """A good signature: the key that made it, and the attributes of a plain event that it tells."""

    key: Key
    attributes: Mapping[str, str] = {}

    def apply(self, event: Event, form: Form) -> Event:
        """Give an event that does not say whose it is what is known of it."""
        if form not in (Form.PLAIN, Form.DATA):
            return event
        if self.attributes:
            return event.replace(**self.attributes)
        return event.replace(source=source_of(self.key)) if event.source == ANONYMOUS_SOURCE else event


class RequestScheme:
    """A scheme that signs requests; judged once for all events of one."""

    kinds: ClassVar[frozenset[str]]  # of keys
    challenge: Mapping[str, str] = {}  # headers that tell a refused sender what is wanted

    def __init__(self, config: VerifyConfig) -> None:
        """Keep the options."""
        self.config = config

    def open(self, services: Services) -> None:
        """Keep what tells the keys and the time."""
        self.services = services
        self.trust = Trust(self.config.keys, self.kinds, services)

    def claims(self, request: Request) -> bool:
        """Tell whether the request carries a signature of this scheme."""
        raise NotImplementedError

    def judge(self, request: Request, form: Form) -> Verdict:
        """Return who signed the request; raises Reject 401, and 400 for a form that cannot be signed."""
        raise NotImplementedError

    def digest(self, body: bytes, make: Callable[[], Any]) -> Any:
        """Call what hashes the body; off the event loop when that takes long."""
        return make() if len(body) < OFFLOAD_FROM else self.services.offload(make)

    def attributes(self, request: Request) -> Mapping[str, str] | None:
        """Return the attributes of the event whose data the body is; see `Step.attributes`."""
        return None


def source_of(key: Key) -> str:
    """Return the source of a plain event signed with this key."""
    return f"/keys/{quote(key.owner, safe='')}"


def written(seconds: int) -> str:
    """Return Unix seconds as RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def received(request: Request) -> bytes:
    """Return the body's very bytes."""
    return request.body if request.received is None else request.received


def need_one_reading(form: Form, body: bytes) -> None:
    """Refuse forms in which a signed body could be read in two ways, where only the body is signed."""
    if form is Form.BINARY:
        detail = "binary mode is not accepted here: its attributes are not signed; send structured mode"
        raise Reject(detail, 400, "signature")
    # The content type is not signed. A CloudEvent replayed as plain JSON would get another identity.
    if form in (Form.PLAIN, Form.DATA) and b'"specversion"' in body and "specversion" in decode_json(body):
        detail = "a CloudEvent is sent as application/cloudevents+json, not as application/json"
        raise Reject(detail, 400, "signature")
