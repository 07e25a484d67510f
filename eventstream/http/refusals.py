"""Every error as a problem (RFC 9457), a log line and a count."""

from __future__ import annotations

import logging

from eventstream.components.output import Response
from eventstream.errors import Reject, StepError, StoreBusy
from eventstream.http.exchange import Exchange
from eventstream.runtime.account import note_refused
from eventstream.runtime.node import Node
from eventstream.telemetry.log import get_logger
from eventstream.wire.problem import MEDIA_TYPE, problem_body

log = get_logger("http")

SUSPICIOUS = frozenset({"origin", "host"})  # logged at a bounded rate; the node knows more such reasons


class Refusals:
    """Answers what went wrong."""

    def __init__(self, node: Node) -> None:
        """Share the node's metrics."""
        self._node = node

    def answer(self, exchange: Exchange, error: Exception) -> Response:
        """Return the answer to a refusal or a failure."""
        refusal = error if isinstance(error, Reject) else self._refusal_of(error)
        self._log(exchange, refusal)
        body = problem_body(refusal, instance=f"urn:request:{exchange.id}")
        return Response(refusal.status, {"Content-Type": MEDIA_TYPE, **refusal.headers}, body)

    def _log(self, exchange: Exchange, refusal: Reject) -> None:
        if refusal.reason in SUSPICIOUS:
            detail, path = refusal.private or refusal.detail, exchange.facts.path
            self._node.bounded.note("refused", refusal.reason, detail=detail, client=exchange.client, path=path)
            if self._node.audit is not None:
                note_refused(self._node.audit, refusal, None, exchange.client)

    def _refusal_of(self, error: Exception) -> Reject:
        if isinstance(error, StoreBusy):
            return self._busy(error)
        if isinstance(error, StepError):
            self._node.metrics.refused("step")
            log.error("step_error", step=error.step, error=str(error))
            detail = "a step of the pipeline failed; nothing was stored"
            return Reject(detail, status=500, reason="step", step=error.step)
        # A bug of ours: a fingerprint to look for in the log, nothing else.
        fingerprint = self._node.metrics.error(error)
        log.error("request_failed", fingerprint=fingerprint, exc_info=error)
        return Reject("the server failed", status=500, reason="bug", members={"fingerprint": fingerprint})

    def _busy(self, error: StoreBusy) -> Reject:
        """Overload and store trouble: nothing was acknowledged, try again."""
        self._node.metrics.refused("busy")
        self._node.bounded.note("store_busy", "busy", level=logging.ERROR, error=str(error))
        return Reject(
            "the server cannot take events right now; nothing was stored", status=503, reason="busy",
            headers={"Retry-After": str(error.retry_after)},
        )  # fmt: skip
