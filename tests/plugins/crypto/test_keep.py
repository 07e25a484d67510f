"""Keys that callers leave in the keyring: under whose name, for how long, and what they are good for."""

import math

import pytest
from crypto_api import NOW, b64, make_key, raw

from eventstream import Event, Problem, StoreBusy
from eventstream_plugins.crypto import CryptoRoute
from eventstream_plugins.points import public_of

PUBLIC = public_of("curve25519", b"p" * 32)


@pytest.mark.parametrize("kind", ["ed25519", "curve25519", "secret"])
def test_a_kept_key_shows_its_public_half_only(make_api, kind):
    api = make_api(keyring=True, keep=["us"], use=["us"], private_keys="never")
    found = api.ask("generate_key", kind=kind, keep={"owner": "us", "expires": "90d"})
    assert found.keys() == {"kind", "kid", "owner", "expires"} | ({"public_key"} if kind != "secret" else set())
    assert found["expires"] == "2027-04-15T08:00:00Z"
    key = api.services.keys.find(found["kid"])
    assert (key.owner, key.kind, key.purpose, key.created) == ("us", kind, "crypto", NOW)
    assert key.expires == NOW + 90 * 86400
    assert key.kid.startswith("us-20270115-")
    assert b64(key.public) == found.get("public_key", "")
    assert api.ask("validate_key", kid=key.kid)["valid"]


def test_kept_keys_are_used_by_their_id(make_api):
    api = make_api(keyring=True, keep=["own"], use=["own"])
    key = api.ask("generate_key", kind="ed25519", keep={"owner": "anna"}, by="anna")
    assert "expires" not in key
    assert math.isinf(api.services.keys.find(key["kid"]).expires)
    signed = api.ask("sign", private_key={"kid": key["kid"]}, message=b"m", by="anna")
    assert api.ask("verify", public_key=key["public_key"], message=b"m", **signed) == {"valid": True}
    assert api.refused("sign", private_key={"kid": key["kid"]}, message=b"m", by="bert")[0] == 403


def test_expiry_and_revocation_act_at_once(make_api):
    api = make_api(keyring=True, keep=["us"], use=["us"])
    ask = {"key": {"kid": api.ask("generate_key", kind="secret", keep={"owner": "us", "expires": 60})["kid"]}}
    sealed = api.ask("encrypt", plaintext=b"x", **ask)
    api.now = NOW + 59.9
    assert api.ask("decrypt", **ask, **sealed)
    api.now = NOW + 60
    assert api.refused("decrypt", **ask, **sealed) == (422, "this key expired at 2027-01-15T08:01:00Z", "/key")
    other = {"key": {"kid": api.ask("generate_key", kind="secret", keep={"owner": "us"})["kid"]}}
    sealed = api.ask("encrypt", plaintext=b"x", **other)
    api.services.keyring.change(other["key"]["kid"], state="revoked")
    assert api.refused("decrypt", **other, **sealed) == (422, "this key is revoked", "/key")


def test_nobody_keeps_keys_unless_the_operator_says_so(make_api):
    for options, by in [
        ({}, None),
        ({}, "us"),
        ({"keep": ["own"]}, None),
        ({"keep": ["own"]}, "them"),
        ({"keep": ["u"]}, "us"),
    ]:
        api = make_api(keyring=True, **options)
        found = api.refused("generate_key", kind="secret", keep={"owner": "us"}, by=by)
        assert found == (403, "you may not keep keys for us", "/keep/owner")
        found = api.refused("register_key", owner="us", public_key=PUBLIC, by=by)
        assert found == (403, "you may not register keys for us", "/owner")
        assert api.services.keys.all() == ()


@pytest.mark.parametrize("expires", [0, 0.5, "10s500ms", "4000d", "1e9", 1e300, -1, True, "soon"])
def test_a_lifetime_is_bounded(make_api, expires):
    api = make_api(keyring=True, keep=["us"], register=["us"])
    status, _, pointer = api.refused("generate_key", kind="secret", keep={"owner": "us", "expires": expires})
    assert status in (400, 422)
    assert pointer == "/keep/expires"
    assert api.refused("register_key", owner="us", public_key=PUBLIC, expires=expires)[2] == "/expires"


@pytest.mark.parametrize("owner", ["", "a b", "é", "x" * 65, "../x", 5])
def test_an_owner_is_a_plain_name(make_api, owner):
    api = make_api(keyring=True, keep=["*"], register=["*"])
    assert api.refused("generate_key", kind="secret", keep={"owner": owner})[0::2] == (400, "/keep/owner")
    assert api.refused("register_key", owner=owner, public_key=PUBLIC)[0::2] == (400, "/owner")


def test_a_browser_registers_its_public_key(make_api):
    api = make_api(keyring=True, register=["readers"])
    found = api.ask("register_key", owner="readers", public_key=PUBLIC, expires="1h")
    assert found["kind"] == "curve25519"
    assert found["expires"] == "2027-01-15T09:00:00Z"
    key = api.services.keys.find(found["kid"])
    assert (key.owner, key.purpose, key.public, key.private) == ("readers", "seal", PUBLIC, b"")
    assert raw(api.ask("sealed_box", public_key={"kid": key.kid}, plaintext=b"x")["ciphertext"])
    assert api.ask("register_key", owner="readers", public_key=PUBLIC) == found, "the same key once more"
    assert len(api.services.keys.all()) == 1


def test_a_revoked_key_does_not_come_back(make_api):
    api = make_api(keyring=True, register=["readers"])
    kid = api.ask("register_key", owner="readers", public_key=PUBLIC)["kid"]
    api.services.keyring.change(kid, state="revoked")
    found = api.refused("register_key", owner="readers", public_key=PUBLIC)
    assert found == (422, "this key is revoked", "/public_key")


def test_an_expired_key_does_not_come_back(make_api):
    api = make_api(keyring=True, register=["readers"])
    api.ask("register_key", owner="readers", public_key=PUBLIC, expires=60)
    api.now = NOW + 61
    found = api.refused("register_key", owner="readers", public_key=PUBLIC)
    assert found == (422, "this key expired at 2027-01-15T08:01:00Z", "/public_key")


def test_expired_readers_make_room(make_api):
    """A page that registers a key at each load is never locked out."""
    api = make_api(keyring=True, register=["readers"], keys_per_owner=2)
    seen = set()
    for load in range(6):
        api.now = NOW + load * 100
        public = public_of("curve25519", bytes([load + 1]) * 32)
        seen.add(api.ask("register_key", owner="readers", public_key=public, expires=60)["kid"])
        assert len(api.services.keys.all()) <= 2
    assert len(seen) == 6


def test_an_expired_reader_may_come_back_under_another_id(make_api):
    api = make_api(keyring=True, register=["readers"])
    first = api.ask("register_key", owner="readers", public_key=PUBLIC, expires=60)
    api.now = NOW + 120
    second = api.ask("register_key", owner="readers", public_key=PUBLIC, expires=60)
    assert first["kid"] != second["kid"]
    assert [key.kid for key in api.services.keys.all()] == [second["kid"]]


def test_one_key_that_two_workers_take_at_once_is_one_key(make_api, tmp_path):
    first, second = (make_api(keyring="same", register=["readers"]) for _ in range(2))
    second.services.keyring.close()  # its watcher: it has not seen what the other one did
    found = first.ask("register_key", owner="readers", public_key=PUBLIC)
    assert second.services.keys.all() == ()
    assert second.ask("register_key", owner="readers", public_key=PUBLIC) == found


def test_a_key_that_is_kept_for_this_route_is_no_readers(make_api):
    api = make_api(keyring=True, keep=["us"], register=["us"])
    kept = api.ask("generate_key", kind="curve25519", keep={"owner": "us"})
    found = api.refused("register_key", owner="us", public_key=kept["public_key"])
    assert found == (422, "this key is here already, for something else", "/public_key")


def test_no_owner_takes_the_id_of_a_fixed_key(make_api):
    """The id would name the newcomer's keys from then on."""
    fixed = make_key("shop-2", "ed25519", owner="shop")
    api = make_api(keys=[fixed], keyring=True, keep=["*"])
    found = api.refused("generate_key", kind="secret", keep={"owner": "shop-2"})
    assert found == (422, "the keyring takes no such key", "/keep/owner")
    assert api.services.keys.find("shop-2") == fixed


def test_a_key_has_one_owner(make_api):
    api = make_api(keyring=True, register=["*"])
    api.ask("register_key", owner="readers", public_key=PUBLIC)
    found = api.refused("register_key", owner="others", public_key=PUBLIC)
    assert found == (422, "this key is here already, for something else", "/public_key")


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        (bytes(32), "this key is all zero"),
        (b"\1" + bytes(31), "this key is a point of low order"),
        (PUBLIC + b"x", "this key has 33 bytes; a public half of kind curve25519 has 32"),
    ],
)
def test_a_bad_key_is_not_registered(make_api, key, fault):
    api = make_api(keyring=True, register=["readers"])
    assert api.refused("register_key", owner="readers", public_key=key) == (422, fault, "/public_key")


def test_the_keys_of_one_owner_are_bounded(make_api):
    api = make_api(keyring=True, keep=["us"], register=["us"], keys_per_owner=2)
    for _ in range(2):
        api.ask("generate_key", kind="secret", keep={"owner": "us"})
    refusal = (403, "us has 2 keys, and no more are taken")
    assert api.refused("generate_key", kind="secret", keep={"owner": "us"}) == (*refusal, "/keep/owner")
    assert api.refused("register_key", owner="us", public_key=PUBLIC) == (*refusal, "/owner")


def test_they_are_bounded_also_when_two_workers_add_at_once(make_api):
    first, second = (make_api(keyring="same", keep=["us"], keys_per_owner=1) for _ in range(2))
    second.services.keyring.close()  # its watcher: it has not seen what the other one did
    first.ask("generate_key", kind="secret", keep={"owner": "us"})
    found = second.refused("generate_key", kind="secret", keep={"owner": "us"})
    assert found == (422, "the keyring takes no such key", "/keep/owner")


def test_no_more_readers_register_than_encrypt_seals_to(make_api, run_steps):
    """With the defaults of both: one reader more would have refused every event."""
    api = make_api(keyring=True, register=["readers"])
    public = (public_of("curve25519", bytes([number + 1]) * 32) for number in range(40))
    answers = api.send([{"operation": "register_key", "owner": "readers", "public_key": b64(one)} for one in public])
    refused = [one["problem"]["status"] for one in answers["results"] if "problem" in one]
    assert set(refused) == {403}
    run_steps.services.keys, run_steps.services.clock = api.services.keys, lambda: NOW
    sealed = run_steps([{"encrypt": {"to": ["readers"]}}], Event(id="1", source="/s", type="t", data=1))
    assert len(sealed.data["recipients"]) + len(refused) == 40


def test_an_owner_with_the_name_of_a_key_is_refused(make_api):
    api = make_api(keyring=True, keep=["*"])
    kid = api.ask("generate_key", kind="secret", keep={"owner": "us"})["kid"]
    found = api.refused("generate_key", kind="secret", keep={"owner": kid})
    assert found == (422, "the keyring takes no such key", "/keep/owner")


def test_a_keyring_in_trouble_is_503(make_api):
    api = make_api(keyring=True, keep=["us"])

    def fail(key, most):
        raise StoreBusy("the disk is full")

    api.services.keyring.add = fail
    (result,) = api.send([{"operation": "generate_key", "kind": "secret", "keep": {"owner": "us"}}])["results"]
    assert result["problem"]["status"] == 503


@pytest.mark.parametrize("option", ["keep", "register"])
def test_check_wants_a_keyring_for_keys_to_keep(make_api, option):
    without, with_keyring = make_api(), make_api(keyring=True)
    route = CryptoRoute.create({option: ["us"]})
    (problem,) = route.check(".", without.services.keys)
    assert problem == Problem("keys are kept in a keyring, and there is none", f"/{option}", "add the section keyring")
    assert list(route.check(".", with_keyring.services.keys)) == []
    assert list(CryptoRoute.create({}).check(".", without.services.keys)) == []


@pytest.mark.parametrize("option", ["use", "keep", "register"])
@pytest.mark.parametrize("pattern", ["", "a*b", "**", "a b", "é", "x" * 65])
def test_owners_are_judged_by_check(option, pattern):
    with pytest.raises(ValueError, match=f"{option}: .* is no owner"):
        CryptoRoute.create({option: [pattern]})


def test_fixed_keys_are_used_beside_a_keyring(make_api):
    api = make_api(keys=[make_key("us", "secret")], keyring=True, use=["us"])
    assert api.ask("encrypt", key={"kid": "us"}, plaintext=b"x")
