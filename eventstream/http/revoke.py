"""`POST /-/revoke`: a credential, or everything of one identity, counts no more."""

from __future__ import annotations

from typing import Annotated

import msgspec

from eventstream.components.component import Config, Duration, Meta, convert
from eventstream.components.output import Response
from eventstream.components.step import Request
from eventstream.errors import Fault, Reject
from eventstream.events import strict_json
from eventstream.events.attributes import timestamp
from eventstream.runtime import revocations
from eventstream.runtime.node import Node

JSON = {"Content-Type": "application/json", "Cache-Control": "no-store"}


class Order(Config, frozen=True, rename={"seconds": "for"}):
    """What is asked for."""

    credential: Annotated[str, Meta(min_length=1)]
    seconds: Duration = revocations.DEFAULT


def revoke(node: Node, request: Request) -> Response:
    """Revoke, and answer with what and until when; raises Reject, StoreBusy."""
    try:
        order: Order = convert(strict_json.decode(request.body), Order)
    except (strict_json.JsonError, msgspec.ValidationError) as error:
        detail = 'expected {"credential": "token:…", "for": "24h"}, or an identity\'s name in place of the credential'
        raise Reject(detail, status=400, reason="malformed", faults=[Fault(str(error))]) from None
    credential = revocations.credential_of(order.credential)
    try:
        until = node.revoke(credential, order.seconds, request.identity)
    except ValueError as error:
        raise Reject(str(error), status=400, reason="malformed") from None
    return Response(200, JSON, strict_json.encode({"revoked": credential, "until": timestamp(until)}))
