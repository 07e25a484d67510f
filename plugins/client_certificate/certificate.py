"""The certificate itself, as RFC 9440 passes it on.

Imported where `form: rfc9440` is configured only: reading X.509 costs each process some megabytes.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from typing import Literal

from cryptography import x509
from cryptography.x509.oid import NameOID

from .names import Named

# What the parser raises for certificates that are not well-formed, beside ValueError.
_MALFORMED = (TypeError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
_BINARY = re.compile(r":([A-Za-z0-9+/]+={0,2}):\Z")  # RFC 8941 section 3.3.5


def read_certificate(text: str, take: Literal["cn", "dn", "uri"]) -> Named:
    """Return what a Client-Cert header says; raises ValueError."""
    match = _BINARY.match(text)
    if match is None:
        raise ValueError("not a byte sequence (RFC 9440 section 2.1)")
    der = base64.b64decode(match[1], validate=True)
    try:
        certificate = x509.load_der_x509_certificate(der)
        name, expires = _name_in(certificate, take), certificate.not_valid_after_utc.timestamp()
    except _MALFORMED as error:
        raise ValueError(f"a malformed certificate: {error}") from None
    return Named(name, hashlib.sha256(der).hexdigest(), expires)


def _name_in(certificate: x509.Certificate, take: Literal["cn", "dn", "uri"]) -> str:
    if take == "dn":
        return certificate.subject.rfc4514_string()
    if take == "cn":
        found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        values: Sequence[str | bytes] = [one.value for one in found]
    else:
        values = _uris(certificate)
    if len(values) != 1:
        raise ValueError(f"{len(values) or 'no'} {take} in the certificate, one is needed")
    return str(values[0])


def _uris(certificate: x509.Certificate) -> Sequence[str | bytes]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return names.get_values_for_type(x509.UniformResourceIdentifier)
