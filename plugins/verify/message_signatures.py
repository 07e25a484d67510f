"""HTTP Message Signatures (RFC 9421): `Signature-Input` says what `Signature` covers.

The signature must cover whatever decides what the events are; what is not covered is not trusted.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import Any, ClassVar

from eventstream import Form, Key, Reject, Request
from eventstream_plugins.verify.content_digest import judge_digest
from eventstream_plugins.verify.fields import read_dictionary
from eventstream_plugins.verify.options import VerifyConfig
from eventstream_plugins.verify.scheme import RequestScheme, Verdict, received
from eventstream_plugins.verify.signature_base import names_of, signature_bases
from eventstream_plugins.verify.trust import refusal

ALGORITHMS = {"ed25519": "ed25519", "hmac": "hmac-sha256"}  # kind of key -> its name in `alg`
PARAMETERS: dict[str, type] = {"created": int, "expires": int, "nonce": str, "alg": str, "keyid": str, "tag": str}
DEFAULT_COMPONENTS = ("@method", "@path", "content-digest")
# Covered when they are there, like each ce- header: they decide what the body is read as.
MEANINGFUL = ("content-type", "content-encoding", "idempotency-key", "prefer")
IMPLIED = {"@path": ("@request-target", "@target-uri"), "@query": ("@request-target", "@target-uri"),
           "@authority": ("@target-uri",), "@scheme": ("@target-uri",)}  # fmt: skip
MAX_SIGNATURES = 8  # labels in one request
MAX_HEADER = 8192


class MessageSignatures(RequestScheme):
    """RFC 9421 with `ed25519` and `hmac-sha256`."""

    kinds: ClassVar[frozenset[str]] = frozenset(ALGORITHMS)

    def __init__(self, config: VerifyConfig) -> None:
        """Prepare what is asked of each signature."""
        super().__init__(config)
        self.required = tuple(config.components or DEFAULT_COMPONENTS)
        wanted = " ".join(f'"{name}"' for name in dict.fromkeys([*self.required, "content-type"]))
        tag = f';tag="{config.tag}"' if config.tag else ""
        self.challenge = {"Accept-Signature": f"sig=({wanted});created;keyid{tag}"}

    def claims(self, request: Request) -> bool:
        """Tell whether there is a signature, or half of one."""
        return "signature" in request.headers or "signature-input" in request.headers

    def judge(self, request: Request, form: Form) -> Verdict:
        """Find one good signature, compare the body's digest, and use the nonce up; raises Reject."""
        if form is Form.DATA:
            raise refusal("a header that is not signed makes the body the data of another event")
        inputs = read_dictionary("signature-input", request.headers.get("signature-input", ""), MAX_HEADER)
        signatures = read_dictionary("signature", request.headers.get("signature", ""), MAX_HEADER)
        if not inputs or inputs.keys() != signatures.keys():
            raise refusal("signature and signature-input do not have the same labels")
        if len(inputs) > MAX_SIGNATURES:
            raise refusal("too many signatures")
        key, once = self._find(request, [(*inputs[label], signatures[label][0]) for label in inputs])
        body = received(request)
        self.digest(body, lambda: judge_digest(request.headers["content-digest"], body))
        self._use_up(request, key, once)
        return Verdict(key)

    def _find(self, request: Request, signatures: Sequence[tuple[Any, dict[str, Any], Any]]) -> tuple[Key, bytes]:
        """Return the first that is good; raises the last Reject."""
        failure = refusal("there is no signature")
        for one in signatures:
            try:
                return self._judge_one(request, *one)
            except Reject as error:
                failure = error
        raise failure

    def _judge_one(self, request: Request, covered: Any, parameters: dict[str, Any], raw: Any) -> tuple[Key, bytes]:
        """Return the key that made a signature, and what of it is good for one request only; raises Reject."""
        if not isinstance(covered, list) or not isinstance(raw, bytes):
            raise refusal("a signature is no bytes, or covers no list")
        self._judge_parameters(parameters)
        names = names_of(covered)
        self._judge_coverage(request, names)
        keys = self._keys(parameters)
        signatures = [(kind, raw) for kind in ALGORITHMS]
        for base in signature_bases(request, names, parameters, self.config.origin):
            key = self.trust.match(base, signatures, keys)
            if key is not None:
                return key, parameters["nonce"].encode() if "nonce" in parameters else base
        raise refusal("the signature does not match")

    def _judge_parameters(self, parameters: dict[str, Any]) -> None:
        """Judge `created`, `expires`, `nonce` and `tag` (section 2.3)."""
        for name, value in parameters.items():
            if type(value) is not PARAMETERS.get(name):
                raise refusal("a parameter of the signature is unknown, or of the wrong type")
        now, tolerance = self.services.now(), self.config.tolerance
        if "created" not in parameters or abs(now - parameters["created"]) > tolerance:
            raise refusal("created is missing or out of tolerance")
        if now >= parameters.get("expires", math.inf):
            raise refusal("the signature has expired")
        if self.config.nonce and "nonce" not in parameters:
            raise refusal("the nonce is missing")
        if self.config.tag is not None and parameters.get("tag") != self.config.tag:
            raise refusal("the tag is missing or another")

    def _judge_coverage(self, request: Request, names: Sequence[str]) -> None:
        """Refuse a signature that leaves out what must be covered."""
        headers = request.headers
        there = [name for name in headers if name in MEANINGFUL or name.startswith("ce-")]
        for name in (*self.required, *there):
            if name not in names and not any(wider in names for wider in IMPLIED.get(name, ())):
                raise refusal(f"{name} is not covered")

    def _keys(self, parameters: dict[str, Any]) -> list[Key]:
        """Return the keys that `keyid` and `alg` allow; what a key is for is never the sender's choice."""
        keyid, algorithm = parameters.get("keyid"), parameters.get("alg")
        keys = self.trust.keys(keyid) if keyid else []
        if not keys:
            raise refusal("keyid is missing, or names no key that counts here")
        keys = [key for key in keys if algorithm in (None, ALGORITHMS[key.kind])]
        if not keys:
            raise refusal("alg is not that of the key")
        return keys

    def _use_up(self, request: Request, key: Key, once: bytes) -> None:
        """Claim the nonce; another pipeline's share of the same request may use it too. Raises Reject, StoreBusy."""
        name = f"nonce/{hashlib.blake2b(key.owner.encode() + bytes(1) + once, digest_size=16).hexdigest()}"
        if name in request.used:
            return
        if not self.services.ledger.claim(name, 2 * self.config.tolerance + 1):
            raise refusal("the nonce was used before")
        request.used.add(name)
