import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from eventstream import Reject, Request
from eventstream.testing.services import PlainServices
from eventstream_plugins.client_certificate import ClientCertificateAuthenticator
from eventstream_plugins.client_certificate.names import parse_dn, parse_xfcc

NOW = datetime(2026, 11, 23, tzinfo=UTC)
PRIVATE = ec.generate_private_key(ec.SECP256R1())


def certificate(*names, uris=(), days=10):
    """Return a certificate in DER."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    builder = x509.CertificateBuilder(subject, subject, PRIVATE.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW - timedelta(30)).not_valid_after(NOW + timedelta(days))
    if uris:
        alternatives = [x509.UniformResourceIdentifier(uri) for uri in uris]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(PRIVATE, hashes.SHA256()).public_bytes(Encoding.DER)


def field(der):
    return f":{base64.b64encode(der).decode()}:"


@pytest.fixture
def build(tmp_path):
    def build(**options):
        authenticator = ClientCertificateAuthenticator.create(options)
        authenticator.open(PlainServices(tmp_path, clock=NOW.timestamp))
        return authenticator

    return build


def ask(authenticator, text, *, header="x-ssl-client-s-dn", proxied=True, verified="SUCCESS", **more):
    headers = {header: text, "x-ssl-client-verify": verified, **more}
    given = {name: value for name, value in headers.items() if value is not None}
    return authenticator.authenticate(Request("GET", "/events", given, proxied=proxied))


def refusal_of(authenticator, text, **options):
    with pytest.raises(Reject) as caught:
        ask(authenticator, text, **options)
    refusal = caught.value
    assert (refusal.status, refusal.reason, refusal.detail) == (401, "credential", "the credential is not valid")
    return refusal.private


# -- distinguished names ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        # RFC 4514 section 4
        ("UID=jsmith,DC=example,DC=net", [("UID", "jsmith"), ("DC", "example"), ("DC", "net")]),
        ("OU=Sales+CN=J.  Smith,DC=example", [("OU", "Sales"), ("CN", "J.  Smith"), ("DC", "example")]),
        (r"CN=James \"Jim\" Smith\, III,DC=net", [("CN", 'James "Jim" Smith, III'), ("DC", "net")]),
        (r"CN=Before\0dAfter,DC=net", [("CN", "Before\rAfter"), ("DC", "net")]),
        (r"CN=Lu\C4\8Di\C4\87", [("CN", "Lučić")]),
        # and more
        ("CN=shop, O=Example", [("CN", "shop"), ("O", "Example")]),
        ("cn=shop", [("CN", "shop")]),
        ("2.5.4.3=shop", [("2.5.4.3", "shop")]),
        (r"CN=\ a b\ ,O=\#1", [("CN", " a b "), ("O", "#1")]),
        (r"CN=a ,O=b", [("CN", "a"), ("O", "b")]),
        (r"CN=a\2Cb\+c=d", [("CN", "a,b+c=d")]),
        ("CN=,O=x", [("CN", ""), ("O", "x")]),
        ("CN=L\xc4\x8d", [("CN", "Lč")]),  # octets of UTF-8, as a header holds them
    ],
)
def test_distinguished_names(text, attributes):
    assert parse_dn(text) == attributes


@pytest.mark.parametrize(
    "text",
    [
        "", "shop", "CN", "=shop", "/CN=shop", "/C=DE/CN=shop", "CN=shop,", ",CN=shop", "CN=a,,O=b", "CN=a+",
        "CN=a;O=b", 'CN="a"', "CN=<a", "CN=#0403020101", "CN=a\\", r"CN=a\zz", r"CN=\4", r"CN=\C4", "CN=\xff",
        "CN=a\x00b", "CN =a", "CN=\u010d", "1.=x", "\nCN=a",
    ],
)  # fmt: skip
def test_broken_distinguished_names(build, text):
    with pytest.raises(ValueError, match=r"."):
        parse_dn(text)
    if text:
        refusal_of(build(), text)


def test_the_one_common_name_is_the_name(build):
    identity = ask(build(), r"CN=shop\, 1,OU=tills,O=Example,C=DE")
    assert (identity.name, identity.by, identity.credentials) == ("shop, 1", "client-certificate", ("name:shop, 1",))
    assert ask(build(prefix="host:"), "CN=shop").credentials == ("name:host:shop",)
    assert ask(build(name="dn"), r"CN=shop\, 1,O=Example").name == r"CN=shop\, 1,O=Example"
    assert ask(build(header="x-dn", verified="x-ok"), "CN=a", header="x-dn", **{"x-ok": "SUCCESS"}).name == "a"


@pytest.mark.parametrize(
    "text",
    ["O=Example", "CN=admin,CN=shop", "CN=admin+CN=shop", "CN=admin,O=x,CN=shop", "CN=admin,2.5.4.3=shop", "CN=a,cn=a"],
)
def test_not_just_one_common_name_is_refused(build, text):
    assert refusal_of(build(), text).endswith("CN in the name, one is needed")


def test_a_value_that_looks_like_another_attribute_stays_a_value(build):
    assert ask(build(), r"O=x\,CN=admin,CN=shop").name == "shop"
    assert ask(build(), r"O=x\2CCN\3Dadmin,CN=shop").name == "shop"
    assert ask(build(), r"O=x\+CN=admin,CN=shop").name == "shop"


@pytest.mark.parametrize("text", ["CN=", r"CN=a\0ab", r"CN=\00", r"CN=\ a", f"CN={'x' * 257}", r"CN=a\E2\80\AEb"])
def test_names_that_are_no_names(build, text):
    assert refusal_of(build(), text).startswith("the name is no printable text")


def test_long_headers_are_refused(build):
    assert "more than 16384" in refusal_of(build(), "CN=" + "x" * 20_000)


# -- who is believed ---------------------------------------------------------------------------


def test_the_header_is_believed_only_from_a_trusted_proxy(build):
    private = refusal_of(build(), "CN=shop", proxied=False)
    assert private == "x-ssl-client-s-dn came from a peer that is not in server.proxies"
    refusal_of(build(form="xfcc"), "URI=spiffe://a", header="x-forwarded-client-cert", proxied=False)
    refusal_of(build(form="rfc9440"), field(certificate("shop")), header="client-cert", proxied=False)


@pytest.mark.parametrize("verified", [None, "", "NONE", "FAILED:expired", "success", "SUCCESS,SUCCESS", "SUCCESS "])
def test_a_certificate_that_was_not_verified_is_refused(build, verified):
    assert refusal_of(build(), "CN=shop", verified=verified) == "x-ssl-client-verify does not say SUCCESS"


def test_without_a_certificate_nobody_is_named(build):
    for text, verified in ((None, None), (None, "NONE"), ("", "NONE"), (None, "SUCCESS")):
        assert ask(build(), text, verified=verified) is None
        assert ask(build(), text, verified=verified, proxied=False) is None


# -- X-Forwarded-Client-Cert ---------------------------------------------------------------------------

HASH = "468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688"
XFCC = f'By=spiffe://a/server;Hash={HASH};Subject="CN=shop,O=\\"Exa\\\\,mple\\"";URI=spiffe://a/shop;DNS=x.example'


def test_xfcc(build):
    fields = parse_xfcc(XFCC)
    assert fields["subject"] == ['CN=shop,O="Exa\\,mple"']
    assert (fields["uri"], fields["by"], fields["dns"]) == (["spiffe://a/shop"], ["spiffe://a/server"], ["x.example"])
    text = XFCC.replace('\\"', "")
    identity = ask(build(form="xfcc"), text, header="x-forwarded-client-cert", verified=None)
    assert (identity.name, identity.credentials) == ("shop", ("name:shop", f"certificate:{HASH}"))
    identity = ask(build(form="xfcc", name="uri"), text, header="x-forwarded-client-cert")
    assert identity.name == "spiffe://a/shop"


@pytest.mark.parametrize(
    "text",
    [
        "x", "=x", "URI", f"URI=spiffe://a,{XFCC}", f"{XFCC},URI=spiffe://b", "URI=a;URI=b", "Hash=00;URI=a", "By=a",
        f"Hash={HASH};Hash={HASH};URI=a", 'URI="a', 'URI=a"b', "URI=a;;URI=b", "URI=", "URI=\x07", "uri=a;URI=b",
    ],
)  # fmt: skip
def test_broken_xfcc(build, text):
    refusal_of(build(form="xfcc", name="uri"), text, header="x-forwarded-client-cert")


# -- Client-Cert (RFC 9440) ------------------------------------------------------------------------------


def test_the_certificate_itself(build):
    der = certificate("shop", uris=["spiffe://a/shop"])
    identity = ask(build(form="rfc9440"), field(der), header="client-cert")
    assert identity.name == "shop"
    assert identity.credentials == ("name:shop", f"certificate:{hashlib.sha256(der).hexdigest()}")
    assert identity.expires == (NOW + timedelta(10)).timestamp()
    assert ask(build(form="rfc9440", name="uri"), field(der), header="client-cert").name == "spiffe://a/shop"
    assert ask(build(form="rfc9440", name="dn"), field(der), header="client-cert").name == "CN=shop"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("::", "cn"),
        ("AAAA", "cn"),
        (":AAAA:", "cn"),
        (":AAA:", "cn"),
        (":A-_A:", "cn"),
        (field(certificate("shop")[:-1]), "cn"),
        (field(certificate("shop") + b"x"), "cn"),
        (f"{field(certificate('shop'))}, {field(certificate('shop'))}", "cn"),
        (field(certificate()), "cn"),
        (field(certificate("admin", "shop")), "cn"),
        (field(certificate("shop")), "uri"),
        (field(certificate("shop", uris=["spiffe://a", "spiffe://b"])), "uri"),
        (field(certificate("shop", days=0)), "cn"),
        (field(certificate("a\nb")), "cn"),
        (field(certificate("shop").replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x4b")), "cn"),
        (field(certificate("shop").replace(b"\x0c\x04shop", b"\x03\x04\x00hop")), "cn"),
        (field(certificate("shop", uris=["spiffe://a"]).replace(b"\x86\x0aspiffe", b"\x83\x0aspiffe")), "uri"),
    ],
)
def test_broken_certificates(build, text, name):
    refusal_of(build(form="rfc9440", name=name), text, header="client-cert")


def test_options_that_make_no_sense():
    with pytest.raises(ValueError, match="name: a distinguished name has no URI"):
        ClientCertificateAuthenticator.create({"name": "uri"})
    with pytest.raises(ValueError, match="regex"):
        ClientCertificateAuthenticator.create({"header": "X-DN"})
