"""`Content-Digest` (RFC 9530): the digest of the body's very bytes."""

import hashlib
import hmac

from eventstream_plugins.verify.fields import read_dictionary
from eventstream_plugins.verify.trust import refusal

ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512"}
MAX_HEADER = 1024


def judge_digest(header: str, body: bytes) -> None:
    """Compare every digest that is known here; raises Reject when one differs, or none is known."""
    known = 0
    for name, member in read_dictionary("content-digest", header, MAX_HEADER).items():
        algorithm = ALGORITHMS.get(name)
        if algorithm is None:  # section 2: those not understood are passed over
            continue
        known += 1
        raw = member[0]
        if not isinstance(raw, bytes) or not hmac.compare_digest(raw, hashlib.new(algorithm, body).digest()):
            raise refusal(f"the body has another {name} digest")
    if not known:
        raise refusal("content-digest has neither sha-256 nor sha-512")
