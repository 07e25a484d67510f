import base64
import hashlib
import hmac
import json
import os

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from eventstream import ConfigError, Filter, Grant, Key, Keys, Reject, Request
from eventstream.testing.services import PlainServices
from eventstream_plugins.jwt import JwtAuthenticator

NOW = 1_800_000_000
PRIVATE = {
    "ed": Ed25519PrivateKey.generate(),
    "other-ed": Ed25519PrivateKey.generate(),
    "ec": ec.generate_private_key(ec.SECP256R1()),
    "rsa": rsa.generate_private_key(65537, 2048),
}
SECRET = bytes(range(32))
ALGORITHM = {"ed": "EdDSA", "other-ed": "EdDSA", "ec": "ES256", "rsa": "RS256"}
CLAIMS = {"sub": "shop", "aud": "events", "exp": NOW + 60}


def jwk(name, **changed):
    algorithm = jwt.get_algorithm_by_name(ALGORITHM[name])
    return {**algorithm.to_jwk(PRIVATE[name].public_key(), as_dict=True), "kid": name, **changed}


def raw_public(name):
    return PRIVATE[name].public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def pem(name):
    return PRIVATE[name].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def token(name="ed", headers=None, algorithm=None, **changed):
    claims = {key: value for key, value in {**CLAIMS, **changed}.items() if value is not ...}
    headers = {key: value for key, value in {"kid": name, **(headers or {})}.items() if value is not ...}
    return jwt.encode(claims, PRIVATE[name], algorithm or ALGORITHM[name], headers)


def b64(data):
    data = data if isinstance(data, bytes) else data.encode() if isinstance(data, str) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header, claims=CLAIMS, name="ed"):
    """Return a token with a good signature by an Ed25519 key, whatever its header and claims say."""
    text = f"{b64(header)}.{b64(claims)}"
    return f"{text}.{b64(PRIVATE[name].sign(text.encode()))}"


@pytest.fixture
def services(tmp_path):
    return PlainServices(tmp_path, clock=lambda: NOW)


@pytest.fixture
def build(tmp_path, services):
    """Open an authenticator whose JWKS holds these entries."""

    def build(*entries, own=(), **options):
        if entries:
            (tmp_path / "jwks.json").write_text(json.dumps({"keys": entries}))
            options["jwks"] = "jwks.json"
        if own:
            options["keys"] = sorted({key.owner for key in own})
        services.keys = Keys(own)
        authenticator = JwtAuthenticator.create({"audience": ["events"], **options})
        assert [str(problem) for problem in authenticator.check(str(tmp_path), services.keys)] == []
        authenticator.open(services)
        return authenticator

    return build


def ask(authenticator, text, scheme="Bearer "):
    return authenticator.authenticate(Request("GET", "/events", {"authorization": f"{scheme}{text}"}))


def refusal_of(authenticator, text):
    """Return the private reason; the sender is told one text for all."""
    with pytest.raises(Reject) as caught:
        ask(authenticator, text)
    refusal = caught.value
    assert (refusal.status, refusal.reason, refusal.detail) == (401, "credential", "the credential is not valid")
    assert text not in refusal.private
    return refusal.private


@pytest.fixture
def all_keys(build):
    return build(jwk("ed"), jwk("ec"), jwk("rsa"))


@pytest.mark.parametrize("name", ["ed", "ec", "rsa"])
def test_each_algorithm_of_a_jwks(all_keys, name):
    identity = ask(all_keys, token(name, jti="t-1"))
    assert (identity.name, identity.by, identity.expires, identity.grants) == ("shop", "jwt", NOW + 60, None)
    assert set(identity.credentials) == {"name:shop", "token:t-1", f"key:{name}"}


def test_ed25519_under_its_new_name(build):
    text = by_hand({"alg": "Ed25519", "kid": "ed", "typ": "at+jwt"})
    assert ask(build(jwk("ed")), text).name == "shop"
    assert ask(build(jwk("ed", alg="Ed25519")), text).name == "shop"


def ours(name="ed", kid="idp-1", **changed):
    return Key(**{"kid": kid, "owner": "idp", "kind": "ed25519", "public": raw_public(name), **changed})


def test_a_key_of_ours(build):
    for purpose in ("", "token"):
        identity = ask(build(own=[ours(purpose=purpose)]), token(headers={"kid": "idp-1"}))
        assert set(identity.credentials) == {"name:shop", "key:idp-1"}


def test_keys_of_ours_while_they_rotate(build, services):
    authenticator = build(own=[ours(kid="new"), ours("other-ed", kid="old", state="retiring")])
    assert ask(authenticator, token(headers={"kid": "new"})).name == "shop"
    assert ask(authenticator, token("other-ed", {"kid": "old"})).name == "shop"
    assert refusal_of(authenticator, token("other-ed", {"kid": "new"})) == "the signature is not the key's"


def test_the_identity_ends_with_the_first_of_token_and_key(build):
    for expires, end in ((NOW + 30, NOW + 30), (NOW + 90, NOW + 60)):
        assert ask(build(own=[ours(expires=expires)]), token(headers={"kid": "idp-1"})).expires == end


@pytest.mark.parametrize(
    "state", [{"state": "revoked"}, {"expires": NOW}, {"not_before": NOW + 1}], ids=["revoked", "expired", "early"]
)
@pytest.mark.parametrize("kid", ["idp-1", ...])
def test_a_key_of_ours_that_does_not_count(build, state, kid):
    private = refusal_of(build(own=[ours(**state)]), token(headers={"kid": kid}))
    assert private == "the key is revoked, has expired or is not valid yet"


def test_a_key_for_something_else_is_none_of_ours(build):
    assert refusal_of(build(own=[ours(purpose="verify")]), token(headers={"kid": "idp-1"})) == "there is no key idp-1"


class LiveKeys(Keys):
    """Keys that change under a revision, as a keyring's do."""

    def __init__(self, *keys):
        super().__init__(keys)
        self.number = 1

    @property
    def revision(self):
        return self.number


def test_a_revoked_key_counts_no_more_at_once(build, services):
    authenticator = build(own=[ours()])
    services.keys = LiveKeys(ours())
    assert ask(authenticator, token(headers={"kid": "idp-1"})).name == "shop"
    services.keys = LiveKeys(ours(state="revoked"))
    services.keys.number = 2
    assert "revoked" in refusal_of(authenticator, token(headers={"kid": "idp-1"}))


def test_hs256_only_where_it_is_written(build, tmp_path):
    key = Key("hs", "idp", "hmac", private=SECRET)
    text = jwt.encode(CLAIMS, SECRET, "HS256", {"kid": "hs"})
    assert ask(build(own=[key], algorithms=["HS256"]), text).name == "shop"
    assert refusal_of(build(jwk("ed"), own=[ours()]), text) == "alg is not one of ours"
    (problem,) = JwtAuthenticator.create({"audience": ["a"], "keys": ["idp"]}).check(str(tmp_path), Keys([key]))
    assert "key idp is of kind hmac" in problem.message


@pytest.mark.parametrize("secret", [pem("rsa"), raw_public("ed"), raw_public("ed").hex().encode()])
def test_a_public_key_is_never_a_secret(build, secret):
    """Key confusion: HMAC with what everybody knows, also where HS256 is accepted for another key."""
    key = Key("hs", "idp", "hmac", private=SECRET)
    authenticator = build(jwk("ed"), jwk("rsa"), own=[key], algorithms=["EdDSA", "RS256", "HS256"])
    for kid in ("rsa", "ed", "hs", None):
        head = {"alg": "HS256"} if kid is None else {"alg": "HS256", "kid": kid}
        text = f"{b64(head)}.{b64(CLAIMS)}"
        forged = f"{text}.{b64(hmac.digest(secret, text.encode(), hashlib.sha256))}"
        assert refusal_of(authenticator, forged) in {
            "alg HS256 is not what the key is for",
            "the signature is not the key's",
        }


def test_a_key_serves_its_own_algorithm_alone(all_keys):
    for name in ("ed", "ec", "rsa"):
        for kid in {"ed", "ec", "rsa"} - {name}:
            assert refusal_of(all_keys, token(name, {"kid": kid})).endswith("is not what the key is for")


def test_without_kid_just_one_key_must_fit(build, all_keys):
    assert ask(all_keys, token("ec", {"kid": ...})).name == "shop"
    two = build(jwk("ed"), jwk("other-ed"))
    assert refusal_of(two, token("ed", {"kid": ...})) == "several keys fit: name one by kid"
    assert ask(two, token("ed")).name == "shop"
    twins = build(jwk("ed"), jwk("other-ed", kid="ed"))
    assert refusal_of(twins, token("ed")) == "several keys fit: name one by kid"


def test_without_kid_an_expired_key_does_not_count(build):
    own = [ours(kid="new"), ours("other-ed", kid="old", expires=NOW - 1)]
    assert ask(build(own=own), token(headers={"kid": ...})).name == "shop"


@pytest.mark.parametrize(
    ("header", "private"),
    [
        ({"alg": "none"}, "alg is not one of ours"),
        ({"alg": "None"}, "alg is not one of ours"),
        ({"alg": "ES384"}, "alg is not one of ours"),
        ({"alg": "EdDSA "}, "alg is not one of ours"),
        ({"alg": "HS256"}, "alg is not one of ours"),
        ('{"typ": "JWT"}', "the header has no alg"),
        ({"alg": None}, "the header has no alg"),
        ({"alg": ["EdDSA"]}, "the header has no alg"),
        ({"jwk": jwk("other-ed")}, "the header has jwk: a key that the token brings itself"),
        ({"jku": "https://evil.example"}, "the header has jku: a key that the token brings itself"),
        ({"x5u": "https://evil.example"}, "the header has x5u: a key that the token brings itself"),
        ({"x5c": ["AAAA"]}, "the header has x5c: a key that the token brings itself"),
        ({"jwk": None}, "the header has jwk: a key that the token brings itself"),
        ({"crit": ["exp"]}, "the header has crit"),
        ({"crit": []}, "the header has crit"),
        ({"b64": False, "crit": ["b64"]}, "the header has crit"),
        ({"b64": True}, "the header has b64"),
        ({"typ": "logout+jwt"}, "typ is of another kind of token"),
        ({"typ": 1}, "typ is of another kind of token"),
        ({"kid": 1}, "kid is not a short printable text"),
        ({"kid": ""}, "kid is not a short printable text"),
        ({"kid": "a\nb"}, "kid is not a short printable text"),
        ({"kid": "k" * 257}, "kid is not a short printable text"),
        ({"kid": "../../etc/passwd"}, "there is no key ../../etc/passwd"),
        ('{"alg": "none", "alg": "EdDSA", "kid": "ed"}', "the header is not JSON: "),
        ('{"alg": "EdDSA"', "the header is not JSON: "),
        (b'{"a\xff": 1}', "the header is not JSON: "),
        ('{"alg":' + "[" * 40 + "]" * 40 + "}", "the header is not JSON: "),
    ],
)
def test_broken_headers(all_keys, header, private):
    given = {"alg": "EdDSA", "kid": "ed", **header} if isinstance(header, dict) else header
    found = refusal_of(all_keys, by_hand(given))
    assert found == private if not private.endswith(": ") else found.startswith(private)


@pytest.mark.parametrize(
    ("claims", "private"),
    [
        ({"exp": ...}, "there is no exp"),
        ({"exp": NOW}, "it has expired"),
        ({"exp": NOW - 1}, "it has expired"),
        ({"exp": -1}, "it has expired"),
        ({"exp": str(NOW + 60)}, "exp is no number"),
        ({"exp": True}, "exp is no number"),
        ({"exp": None}, "exp is no number"),
        ({"exp": [NOW + 60]}, "exp is no number"),
        ({"nbf": NOW + 31}, "it is not valid yet (nbf)"),
        ({"nbf": "soon"}, "nbf is no number"),
        ({"iat": NOW + 31}, "it was issued in the future (iat)"),
        ({"iat": NOW + 30, "exp": NOW + 29}, "it was issued after its expiry (iat)"),
        ({"iat": {}}, "iat is no number"),
        ({"aud": ...}, "aud is missing or no text"),
        ({"aud": None}, "aud is missing or no text"),
        ({"aud": []}, "aud names others"),
        ({"aud": "event"}, "aud names others"),
        ({"aud": "Events"}, "aud names others"),
        ({"aud": ["a", "b"]}, "aud names others"),
        ({"aud": ["events", 1]}, "aud is missing or no text"),
        ({"aud": {"events": 1}}, "aud is missing or no text"),
        ({"iss": ...}, "iss is not one of ours"),
        ({"iss": "https://evil.example"}, "iss is not one of ours"),
        ({"iss": ["https://id.example"]}, "iss is not one of ours"),
        ({"sub": ...}, "the claim sub is no short printable text"),
        ({"sub": ""}, "the claim sub is no short printable text"),
        ({"sub": 7}, "the claim sub is no short printable text"),
        ({"sub": " shop"}, "the claim sub is no short printable text"),
        ({"sub": "a\nb"}, "the claim sub is no short printable text"),
        ({"sub": "x" * 257}, "the claim sub is no short printable text"),
        ({"jti": 1}, "jti is no short printable text"),
        ({"jti": ""}, "jti is no short printable text"),
        ({"eventstream": None}, "the claim eventstream is malformed: grants are an object"),
        ({"eventstream": {"admin": True}}, "the claim eventstream is malformed: a credential cannot grant 'admin'"),
        ({"eventstream": {"publish": "x"}}, "the claim eventstream is malformed: a scope is true, false or a list"),
    ],
)
def test_broken_claims(build, claims, private):
    given = {**CLAIMS, "iss": "https://id.example", **claims}
    text = by_hand({"alg": "EdDSA", "kid": "ed"}, {name: value for name, value in given.items() if value is not ...})
    found = refusal_of(build(jwk("ed"), issuer=["https://id.example"]), text)
    assert found.startswith(private)


@pytest.mark.parametrize(
    ("payload", "private"),
    [
        ("[]", "the payload is not an object"),
        ("x", "the payload is not JSON: "),
        ('{"sub": "shop", "sub": "admin"}', "the payload is not JSON: "),
        ('{"exp": NaN}', "the payload is not JSON: "),
        ('{"exp": 1e999}', "the payload is not JSON: "),
        ("[" * 100, "the payload is not JSON: "),
        (b"\xff", "the payload is not JSON: "),
    ],
)
def test_broken_payloads(all_keys, payload, private):
    assert refusal_of(all_keys, by_hand({"alg": "EdDSA", "kid": "ed"}, payload)).startswith(private)


def test_broken_shapes(all_keys):
    good = token()
    head, body, signature = good.split(".")
    shape = "not three parts in base64url (a signed token in compact form)"
    for text in (
        "ey", head, f"{head}.{body}", f"{good}.{signature}", f"{head}..{signature}", f"{good} ", f"{good}\n",
        f"{good}=", good.replace(".", ".\xe9", 1), f"{good},Bearer {good}", f"{head}.{body}+.{signature}",
    ):  # fmt: skip
        assert refusal_of(all_keys, text) == shape, text
    assert refusal_of(all_keys, "ey" + "a" * 9000) == "longer than 8192 bytes"
    assert refusal_of(all_keys, f"{head[: len(head) // 4 * 4 + 1]}.{body}.{signature}") == "the header is not base64url"
    assert refusal_of(all_keys, f"{head}.{body}.") == "the signature is not the key's"
    assert refusal_of(all_keys, f"{head}.{body}.{signature[:-2]}") == "the signature is not the key's"
    assert refusal_of(all_keys, f"{head}.{body}.{signature[:-1]}") == "the signature is not base64url"
    respelt = chr(ord(signature[-1]) + 1)  # decodes to the same bytes
    assert refusal_of(all_keys, f"{head}.{body}.{signature[:-1]}{respelt}") == "the signature is not base64url"


@pytest.mark.parametrize("name", ["ed", "ec", "rsa"])
def test_any_altered_character_is_refused(all_keys, name):
    good = token(name)
    assert ask(all_keys, good)
    for place, character in enumerate(good):
        other = chr(ord(character) ^ 1)
        if place > 1:  # the first two tell that it is a JWT at all
            refusal_of(all_keys, f"{good[:place]}{other}{good[place + 1 :]}")


def test_another_keys_signature_is_refused(all_keys):
    assert refusal_of(all_keys, token("other-ed", {"kid": "ed"})) == "the signature is not the key's"
    assert refusal_of(all_keys, token("other-ed")) == "there is no key other-ed"


def test_times_near_their_bounds(all_keys):
    for claims in ({"nbf": NOW + 30}, {"iat": NOW + 30}, {"exp": NOW + 0.5}, {"nbf": -1, "iat": 0}):
        assert ask(all_keys, token(**claims)).name == "shop"


def test_a_clock_that_jumps(build, services):
    authenticator, text = build(jwk("ed")), token(iat=NOW, nbf=NOW)
    assert ask(authenticator, text)
    services.clock = lambda: NOW + 3600
    assert refusal_of(authenticator, text) == "it has expired"
    services.clock = lambda: NOW - 3600
    assert refusal_of(authenticator, text) == "it is not valid yet (nbf)"
    services.clock = lambda: NOW
    assert ask(authenticator, text)


def test_grants_of_a_token(all_keys):
    claim = {"publish": ["shop.*", {"type": ["a", "b"], "source": "/till/*"}], "subscribe": True, "crypto": True}
    assert {(grant.right, grant.scope.key) for grant in ask(all_keys, token(eventstream=claim)).grants} == {
        ("publish", Filter({"type": ["shop.*"]}).key),
        ("publish", Filter({"type": ["a", "b"], "source": ["/till/*"]}).key),
        ("subscribe", Filter().key),
        ("crypto", Grant("crypto").scope.key),
    }
    assert ask(all_keys, token(eventstream={})).grants == ()


def test_name_and_prefix_and_claims_by_other_names(build):
    authenticator = build(jwk("ed"), name="client_id", prefix="user:", grants="https://events.example/may")
    identity = ask(authenticator, token(sub=..., client_id="ann", **{"https://events.example/may": {"crypto": True}}))
    assert (identity.name, identity.credentials[0], len(identity.grants)) == ("user:ann", "name:user:ann", 1)


@pytest.mark.parametrize(
    "header",
    ["", "Basic c2hvcDp4", "Bearer", "Bearer ", "Bearer esk_a.b.c_ey", "Bearer ticket", "ey.ey.ey", "Digest ey"],
)
def test_what_is_no_jwt_is_left_to_others(all_keys, header):
    assert ask(all_keys, header, scheme="") is None


def test_a_token_in_the_query_is_not_read(all_keys):
    query = {name: [token()] for name in ("access_token", "token", "jwt")}
    assert all_keys.authenticate(Request("GET", "/events", {}, query=query)) is None
    assert ask(all_keys, token(), "bearer   ").name == "shop"  # the scheme's case is free


# -- the JWKS file -------------------------------------------------------------------------------


def test_the_file_is_read_again_when_it_changes(build, services, tmp_path):
    authenticator = build(jwk("ed"))
    file = tmp_path / "jwks.json"

    def later(text):
        file.write_text(text)
        os.utime(file, ns=(services.now() * 10**9, services.now() * 10**9))
        now = services.now() + 1
        services.clock = lambda: now

    later(json.dumps({"keys": [jwk("ec")]}))
    assert ask(authenticator, token("ec")).name == "shop"
    assert refusal_of(authenticator, token()) == "there is no key ed"
    for broken in ("", "{", "[]", "{}", '{"keys": []}', '{"keys": [{"kty": "EC", "crv": "P-256"}]}'):
        later(broken)
        assert ask(authenticator, token("ec")).name == "shop", "a broken file changes nothing"
    file.unlink()
    services.clock = lambda: NOW + 50
    assert ask(authenticator, token("ec")).name == "shop"
    assert services.counts["jwks_broken"] == 7
    later(json.dumps({"keys": [jwk("ed")]}))
    services.clock = lambda: NOW + 52
    assert ask(authenticator, token()).name == "shop"


PRIVATE_JWK = {**jwk("ed"), "d": b64(PRIVATE["ed"].private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))}
SHORT_RSA = jwt.get_algorithm_by_name("RS256").to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expecting value"),
        ("[]", 'an object with a list "keys"'),
        ('{"keys": {}}', 'an object with a list "keys"'),
        ('{"keys": [1]}', 'an object with a list "keys"'),
        ('{"keys": []}', "no key for signatures"),
        ('{"keys": [], "keys": []}', "keys"),
        (json.dumps({"keys": [jwk("ed", use="enc")]}), "no key for signatures"),
        (json.dumps({"keys": [jwk("ed", key_ops=["sign"])]}), "no key for signatures"),
        (json.dumps({"keys": [jwk("ed", alg="HS256")]}), "no key for signatures"),
        (json.dumps({"keys": [{**SHORT_RSA, "key_ops": ["verify"]}]}), "1024 bits"),
        (json.dumps({"keys": [PRIVATE_JWK]}), "key 0 is private"),
        (json.dumps({"keys": [{"kty": "oct", "k": b64(SECRET)}]}), "key 0 is private"),
        (json.dumps({"keys": [jwk("ed"), jwk("ec", x="AAAA")]}), "key 1 is malformed"),
        (json.dumps({"keys": [jwk("ed", x=b64(bytes(31)))]}), "key 0 is malformed"),
        (json.dumps({"keys": [jwk("ed", x=3)]}), "key 0 is malformed"),
        (json.dumps({"keys": [jwk("ed", kid=3)]}), "kid is not text"),
        (json.dumps({"keys": [jwk("ed")] * 101}), "at most 100 keys"),
        (" " * 300_000, "at most 262144 bytes"),
    ],
)
def test_a_jwks_that_cannot_be_used(tmp_path, services, text, message):
    (tmp_path / "jwks.json").write_text(text)
    authenticator = JwtAuthenticator.create({"audience": ["events"], "jwks": "jwks.json"})
    (problem,) = authenticator.check(str(tmp_path), Keys())
    assert message in problem.message
    assert problem.pointer == "/jwks"
    assert PRIVATE_JWK["d"] not in problem.message
    with pytest.raises(ConfigError, match=r"jwks\.json"):
        authenticator.open(services)


def test_keys_of_other_kinds_are_left_out(build):
    other = {"kty": "OKP", "crv": "X25519", "x": b64(bytes(32)), "kid": "x"}
    authenticator = build(other, {"kty": "new"}, {}, jwk("ed"), jwk("ec", use="enc"))
    assert ask(authenticator, token()).name == "shop"
    assert refusal_of(authenticator, token("ec")) == "there is no key ec"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "jwks: tokens are checked by keys"),
        ({"jwks": "j", "algorithms": ["HS256"]}, "algorithms: HS256 needs `keys`"),
        ({"jwks": "j", "algorithms": ["none"]}, "none"),
        ({"jwks": "j", "audience": []}, "length >= 1"),
        ({"jwks": "j", "audience": [""]}, "length >= 1"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        JwtAuthenticator.create({"audience": ["events"], **options})


def test_a_missing_file_and_a_weak_secret_are_found_by_check(tmp_path):
    options = {"audience": ["a"], "jwks": "nowhere.json", "keys": ["weak", "pem", "nobody"], "algorithms": ["HS256"]}
    keys = Keys([Key("weak", "weak", "hmac", private=bytes(31)), Key("pem", "pem", "hmac", private=pem("rsa"))])
    found = [problem.message for problem in JwtAuthenticator.create(options).check(str(tmp_path), keys)]
    assert "No such file" in found[0]
    assert found[1:] == ["key weak is no secret for HS256", "key pem is no secret for HS256", "there is no key nobody"]
