"""An Ed25519 signature that travels inside the event, over its canonical form (RFC 8785)."""

from datetime import datetime
from typing import ClassVar

from eventstream import SIGNATURE, SIGNATURE_KEY, Event, JsonError, Key, Services, canonical_event
from eventstream_plugins.verify.options import VerifyConfig
from eventstream_plugins.verify.trust import Trust, read_base64, refusal


class EventSignature:
    """The extension attributes `signature` (base64) and `signaturekey` (a key's id)."""

    kinds: ClassVar[frozenset[str]] = frozenset({"ed25519"})

    def __init__(self, config: VerifyConfig) -> None:
        """Keep the options."""
        self.config = config

    def open(self, services: Services) -> None:
        """Keep what tells the keys and the time."""
        self._now = services.now
        self._trust = Trust(self.config.keys, self.kinds, services)

    def is_signed(self, event: Event) -> bool:
        """Tell whether the event carries a signature, or half of one."""
        return SIGNATURE in event.extensions or SIGNATURE_KEY in event.extensions

    def judge(self, event: Event) -> Key:
        """Return the key that signed the event; raises Reject 401."""
        signature, name = event.get(SIGNATURE), event.get(SIGNATURE_KEY)
        if not isinstance(signature, str) or not isinstance(name, str):
            raise refusal(f"{SIGNATURE} or {SIGNATURE_KEY} is missing or no text")
        raw = read_base64(signature)
        if raw is None or len(raw) != 64:
            raise refusal("the signature is not 64 bytes in base64")
        self._judge_time(event.time)
        keys = self._trust.keys(name)
        if not keys:
            raise refusal(f"{SIGNATURE_KEY} names no key that counts here")
        try:
            message = canonical_event(event)
        except JsonError:
            raise refusal("the event has no canonical form: a number is too large") from None
        key = self._trust.match(message, [("ed25519", raw)], keys)
        if key is None:
            raise refusal("the signature does not match")
        return key

    def _judge_time(self, time: str | None) -> None:
        """Refuse what is too old or too new: ids are not remembered for ever."""
        try:
            moment = datetime.fromisoformat((time or "").upper()).timestamp()
        except ValueError:  # none, or a leap second
            raise refusal("the event has no time") from None
        if abs(self._now() - moment) > self.config.tolerance:
            raise refusal("the event's time is out of tolerance")
