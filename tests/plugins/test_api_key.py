import hashlib

import pytest

from eventstream import Key, Keys, Reject, Request, parse_key
from eventstream.testing.services import PlainServices
from eventstream_plugins.api_key import ApiKeyAuthenticator

NOW = 1_800_000_000
SECRET = "cJ3kq_-" + "A" * 36
TEXT = f"esk_shop-20261123-abc234_{SECRET}"


def key(text=TEXT, **changed):
    digest = hashlib.sha256(text.encode()).digest()
    return Key(**{"kid": text.split("_")[1], "owner": "shop", "kind": "api-key", "public": digest, **changed})


@pytest.fixture
def services(tmp_path):
    services = PlainServices(tmp_path, clock=lambda: NOW)
    services.keys = Keys([key()])
    return services


@pytest.fixture
def authenticator(services):
    authenticator = ApiKeyAuthenticator.create()
    authenticator.open(services)
    return authenticator


def ask(authenticator, **headers):
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return authenticator.authenticate(Request("GET", "/events", given))


def refusal_of(authenticator, text=TEXT, **headers):
    with pytest.raises(Reject) as caught:
        ask(authenticator, **(headers or {"x_api_key": text}))
    refusal = caught.value
    assert (refusal.status, refusal.reason, refusal.detail) == (401, "credential", "the credential is not valid")
    assert SECRET not in refusal.private
    return refusal.private


@pytest.mark.parametrize(
    "headers", [{"x_api_key": TEXT}, {"authorization": f"Bearer {TEXT}"}, {"authorization": f"bearer  {TEXT}"}]
)
def test_a_good_key(authenticator, headers):
    identity = ask(authenticator, **headers)
    assert (identity.name, identity.by, identity.grants) == ("shop", "api-key", None)
    assert identity.credentials == ("key:shop-20261123-abc234", "name:shop")


def test_a_key_written_in_the_file(services, authenticator):
    services.keys = Keys([parse_key("shop", "shop", "api-key", f"sha256:{hashlib.sha256(TEXT.encode()).hexdigest()}")])
    identity = ask(authenticator, x_api_key=TEXT)
    assert (identity.name, identity.credentials[0]) == ("shop", "key:shop"), "whatever id its text has"


def test_the_identity_ends_with_the_key(services, authenticator):
    services.keys = Keys([key(expires=NOW + 5, state="retiring")])
    assert ask(authenticator, x_api_key=TEXT).expires == NOW + 5


@pytest.mark.parametrize(
    ("changed", "private"),
    [
        ({"state": "revoked"}, "is revoked"),
        ({"state": "revoked", "expires": NOW - 9}, "is revoked"),
        ({"expires": NOW}, "has expired"),
        ({"not_before": NOW + 1}, "is not valid yet"),
    ],
)
def test_a_key_that_does_not_count(services, authenticator, changed, private):
    services.keys = Keys([key(**changed)])
    assert refusal_of(authenticator) == f"key shop-20261123-abc234 {private}"


@pytest.mark.parametrize("changed", [{"kind": "hmac"}, {"purpose": "verify"}, {"purpose": "token"}])
def test_keys_for_something_else(services, authenticator, changed):
    services.keys = Keys([key(**changed)])
    assert refusal_of(authenticator) in ("not the secret of key shop-20261123-abc234", "there is no such key")


@pytest.mark.parametrize(
    "text",
    [
        "", "esk_", "esk__", "esk_shop", "esk_shop_", "esk_shop_short", f"esk__{SECRET}", f"esk_{'k' * 129}_{SECRET}",
        f"esk_shop_{'s' * 257}", f" {TEXT}", f"{TEXT} ", f"{TEXT}\n", f"{TEXT},{TEXT}", f"{TEXT}\xe9", f"ESK{TEXT[3:]}",
        f"esk_sh\xf6p_{SECRET}", f"Bearer {TEXT}", "x" * 100_000, f"esk_shop_{SECRET}\x00",
    ],
)  # fmt: skip
def test_broken_forms(authenticator, text):
    assert refusal_of(authenticator, text) == "not of the form esk_<kid>_<secret>"
    if text.startswith("esk_"):
        assert refusal_of(authenticator, authorization=f"Bearer {text}") == "not of the form esk_<kid>_<secret>"


def test_any_altered_character_is_refused(authenticator):
    for place, character in enumerate(TEXT):
        refusal_of(authenticator, f"{TEXT[:place]}{chr(ord(character) ^ 1)}{TEXT[place + 1 :]}")


def test_another_keys_secret_and_an_unknown_key(services, authenticator):
    other = f"esk_till-1_{'B' * 43}"
    services.keys = Keys([key(), key(other, owner="till")])
    assert ask(authenticator, x_api_key=other).name == "till"
    assert refusal_of(authenticator, f"esk_till-1_{SECRET}") == "not the secret of key till-1"
    assert refusal_of(authenticator, f"esk_nobody_{SECRET}") == "there is no such key"
    assert refusal_of(authenticator, f"esk_{SECRET}") == "there is no such key", "what stands for an id is not repeated"


def test_an_id_with_an_underscore(services, authenticator):
    text = f"esk_a_b.c_{SECRET}"
    services.keys = Keys([key(text, kid="a_b.c")])
    assert ask(authenticator, x_api_key=text).name == "shop"
    assert refusal_of(authenticator, f"esk_a_b.c_{SECRET}x") == "not the secret of key a_b.c"


def test_the_digest_itself_opens_nothing(authenticator):
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    for text in (digest, f"sha256:{digest}", f"esk_shop-20261123-abc234_{digest}"):
        refusal_of(authenticator, text)


@pytest.mark.parametrize("public", [b"", bytes(32), bytes(31)])
def test_a_malformed_key_is_nobodys(services, authenticator, public):
    services.keys = Keys([key(public=public)])
    refusal_of(authenticator)


def test_two_keys_in_one_request(authenticator):
    assert refusal_of(authenticator, authorization=f"Bearer {TEXT}", x_api_key=TEXT) == "two keys in one request"


@pytest.mark.parametrize("header", ["", "Bearer", f"Basic {TEXT}", "Bearer eyJhbGciOiJub25lIn0.e30.", TEXT])
def test_what_is_no_api_key_is_left_to_others(authenticator, header):
    assert ask(authenticator, authorization=header) is None
    assert ask(authenticator) is None
    assert ask(authenticator, authorization=header, x_api_key=TEXT).name == "shop"


def test_the_query_is_not_read(authenticator):
    assert authenticator.authenticate(Request("GET", "/events", {}, query={"api_key": [TEXT], "token": [TEXT]})) is None


class LiveKeys(Keys):
    """Keys as the keyring has them: each change is another revision."""

    number = 0

    @property
    def revision(self):
        return self.number

    @property
    def open(self):
        return True


def test_a_revocation_counts_at_once(services, authenticator):
    services.keys = LiveKeys([key()])
    assert ask(authenticator, x_api_key=TEXT).name == "shop"
    services.keys = LiveKeys([key(state="revoked")])
    services.keys.number = 1
    assert refusal_of(authenticator) == "key shop-20261123-abc234 is revoked"


def test_check_warns_where_nobody_can_have_a_key():
    authenticator = ApiKeyAuthenticator.create()
    (warning,) = authenticator.check(".", Keys())
    assert warning.severity == "warning"
    assert list(authenticator.check(".", LiveKeys())) == []
    assert list(authenticator.check(".", Keys([key()]))) == []
