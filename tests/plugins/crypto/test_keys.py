"""Every kind of key in every broken form, at every place where a key stands."""

import pytest
from crypto_api import NOW, STATES, b64, make_key, raw

from eventstream import Key
from eventstream_plugins.points import public_of

GOOD = bytes(range(1, 33))
PUBLIC = {kind: public_of(kind, GOOD) for kind in ("ed25519", "curve25519")}
NONCE, TEXT = bytes(24), bytes(48)
# What each operation needs beside the key under test: operation, field, kind, the other fields.
PUBLIC_PLACES = [
    ("box", "public_key", "curve25519", {"private_key": GOOD, "plaintext": b""}),
    ("box_open", "public_key", "curve25519", {"private_key": GOOD, "ciphertext": TEXT, "nonce": NONCE}),
    ("sealed_box", "public_key", "curve25519", {"plaintext": b""}),
    ("verify", "public_key", "ed25519", {"message": b"", "signature": bytes(64)}),
]
PRIVATE_PLACES = [
    ("box", "private_key", "curve25519", {"public_key": PUBLIC["curve25519"], "plaintext": b""}),
    (
        "box_open", "private_key", "curve25519",
        {"public_key": PUBLIC["curve25519"], "ciphertext": TEXT, "nonce": NONCE},
    ),
    ("sealed_box_open", "private_key", "curve25519", {"ciphertext": TEXT}),
    ("sign", "private_key", "ed25519", {"message": b""}),
    ("public_key", "key", "curve25519", {"kind": "curve25519"}),
    ("public_key", "key", "ed25519", {"kind": "ed25519"}),
    ("encrypt", "key", "secret", {"plaintext": b""}),
    ("decrypt", "key", "secret", {"ciphertext": TEXT, "nonce": NONCE}),
]  # fmt: skip
MAKING = {"box", "sealed_box", "encrypt", "sign", "hash"}
LOW_ORDER = {
    "curve25519": bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    "ed25519": bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
}
NOT_CANONICAL = {"curve25519": (2**255 - 17).to_bytes(32, "little"), "ed25519": (2**255 - 16).to_bytes(32, "little")}
BROKEN_TEXTS = {
    "alphabet": ("!" * 43, "this is not base64"),
    "stray bits": (b64(GOOD)[:-2] + "B=", "this is not base64 as an encoder writes it: stray bits at its end"),
    "half padded": ("QQ=", "this is not base64"),
    "not ASCII": ("é" * 43, "this is not base64"),
    "notation": ("whpk_" + b64(GOOD), "this is not base64 but whpk_…: give what stands behind the underscore"),
    "number": (7, 'expected base64 text or {"kid": "…"}'),
    "list": ([], 'expected base64 text or {"kid": "…"}'),
    "two names": ({"kid": "a", "owner": "b"}, 'expected base64 text or {"kid": "…"}'),
    "bad kid": ({"kid": "../a"}, "a kid is 1 to 128 letters, digits and ._:-"),
    "no kid": ({"kid": 5}, "a kid is 1 to 128 letters, digits and ._:-"),
}


def name(place):
    return f"{place[0]}.{place[1]}"


@pytest.mark.parametrize("form", BROKEN_TEXTS)
@pytest.mark.parametrize("place", PUBLIC_PLACES + PRIVATE_PLACES, ids=name)
def test_a_key_that_is_not_written_as_one_is_400(api, place, form):
    operation, field, _, others = place
    text, detail = BROKEN_TEXTS[form]
    assert api.refused(operation, **others, **{field: text}) == (400, detail, f"/{field}")


def public_forms(kind):
    return {
        "empty": (b"", f"has 0 bytes; a public half of kind {kind} has 32"),
        "short": (GOOD[:31], f"has 31 bytes; a public half of kind {kind} has 32"),
        "long": (GOOD + b"a", f"has 33 bytes; a public half of kind {kind} has 32"),
        "zero": (bytes(32), "is all zero"),
        "low order": (LOW_ORDER[kind], "is a point of low order"),
        "one": (b"\1" + bytes(31), "is a point of low order"),
        "not canonical": (NOT_CANONICAL[kind], "is not in its canonical encoding: its number is not below 2^255-19"),
    }


@pytest.mark.parametrize("form", public_forms("ed25519"))
@pytest.mark.parametrize("place", PUBLIC_PLACES, ids=name)
def test_a_bad_public_key_is_422(api, place, form):
    operation, field, kind, others = place
    key, fault = public_forms(kind)[form]
    assert api.refused(operation, **others, **{field: key}) == (422, f"this key {fault}", f"/{field}")


def test_a_point_off_the_curve_is_422(api):
    found = api.refused("verify", public_key=b"\2" + bytes(31), message=b"", signature=bytes(64))
    assert found == (422, "this key is no point of the Ed25519 group", "/public_key")


def private_forms(kind):
    wanted = "has 64, or 32: its seed" if kind == "ed25519" else "has 32"
    forms = {
        "empty": (b"", f"has 0 bytes; a private key of kind {kind} {wanted}"),
        "short": (GOOD[:31], f"has 31 bytes; a private key of kind {kind} {wanted}"),
        "long": (GOOD + b"a", f"has 33 bytes; a private key of kind {kind} {wanted}"),
        "zero": (bytes(32), "is all zero"),
    }
    if kind == "ed25519":
        mismatched = "is a mismatched pair: its public half is not that of its private half"
        forms["mismatched"] = (GOOD + public_of(kind, b"x" * 32), mismatched)
        forms["other half broken"] = (GOOD + bytes(32), "is all zero")
    else:
        forms["an Ed25519 key"] = (GOOD * 2, f"has 64 bytes; a private key of kind {kind} has 32")
    return forms


PRIVATE_CASES = [(place, form) for place in PRIVATE_PLACES for form in private_forms(place[2])]


@pytest.mark.parametrize(("place", "form"), PRIVATE_CASES, ids=lambda one: one if isinstance(one, str) else name(one))
def test_a_bad_private_key_is_422(api, place, form):
    operation, field, kind, others = place
    key, fault = private_forms(kind)[form]
    assert api.refused(operation, **others, **{field: key}) == (422, f"this key {fault}", f"/{field}")


# -- by kid ---------------------------------------------------------------------------------------


def kinds_but(*kinds):
    return [one for one in ("ed25519", "curve25519", "secret", "hmac", "api-key") if one not in kinds]


def known_keys():
    keys = [make_key(f"{kind}-good", kind, owner="us") for kind in kinds_but("api-key")]
    keys.append(make_key("api-key-good", "api-key", owner="us", public=b"d" * 32, private=b"\0"))
    for state, fields in STATES.items():
        keys += [
            make_key(f"{kind}-{state.replace(' ', '_')}", kind, owner="us", **fields) for kind in kinds_but("api-key")
        ]
    for purpose in ("seal", "sign", "verify", "at-rest", "token", "api"):
        keys += [make_key(f"{kind}-for-{purpose}", kind, owner="us", purpose=purpose) for kind in kinds_but("api-key")]
    return keys


PLACES = PUBLIC_PLACES + PRIVATE_PLACES[:4] + PRIVATE_PLACES[6:] + [("hash", "key", "hmac", {"data": b""})]
WORDS = {
    "revoked": "this key is revoked",
    "expired": "this key expired at 2027-01-15T08:00:00Z",
    "not yet valid": "this key is not valid before 2027-01-15T08:00:01Z",
    "retiring": "this key is retiring: it opens and verifies what there is, and makes nothing new",
}


@pytest.fixture
def known(make_api):
    return make_api(keys=known_keys(), use=["us"], inline_keys=True)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("place", PLACES, ids=name)
def test_the_state_of_a_known_key_counts(known, place, state):
    operation, field, kind, others = place
    ask = {**others, field: {"kid": f"{kind}-{state.replace(' ', '_')}"}}
    if state == "retiring" and operation not in MAKING:
        with_good = {**others, field: {"kid": f"{kind}-good"}}
        assert outcome(known, operation, ask) == outcome(known, operation, with_good)
    else:
        assert known.refused(operation, **ask) == (422, WORDS[state], f"/{field}")


def outcome(api, operation, fields):
    """What comes of it once the key was taken."""
    if operation in ("box_open", "sealed_box_open", "decrypt"):
        status, _, pointer = api.refused(operation, **fields)
        return status, pointer
    return api.ask(operation, **fields).keys()


@pytest.mark.parametrize("place", PLACES, ids=name)
def test_another_kind_of_key_is_422(known, place):
    operation, field, kind, others = place
    needed = "hmac or secret" if operation == "hash" else kind
    for other in kinds_but(*needed.split(" or ")):
        found = known.refused(operation, **others, **{field: {"kid": f"{other}-good"}})
        assert found == (422, f"this key is of kind {other}; {needed} is needed here", f"/{field}")


@pytest.mark.parametrize("place", PLACES, ids=name)
def test_a_key_for_another_purpose_is_403(known, place):
    operation, field, kind, others = place
    taken = (
        {"sealed_box": "seal", "box": "seal", "box_open": "seal", "verify": "verify sign"}
        if field == "public_key"
        else {}
    )
    for purpose in ("seal", "sign", "verify", "at-rest", "token", "api"):
        ask = {**others, field: {"kid": f"{kind}-for-{purpose}"}}
        if purpose in taken.get(operation, "").split():
            outcome(known, operation, ask)
        else:
            found = known.refused(operation, **ask)
            assert found == (403, f"this key is for another purpose: {purpose}", f"/{field}")


@pytest.mark.parametrize("place", PLACES, ids=name)
def test_an_unknown_key_is_422(known, place):
    operation, field, _, others = place
    assert known.refused(operation, **others, **{field: {"kid": "nobody"}}) == (
        422,
        "there is no key nobody",
        f"/{field}",
    )


def test_states_change_while_the_server_runs(known):
    api, ask = known, {"key": {"kid": "secret-not_yet_valid"}, "plaintext": b"x"}
    assert api.refused("encrypt", **ask)[0] == 422
    api.now = NOW + 1
    assert api.ask("encrypt", **ask)


def test_a_half_that_is_not_here_is_422(make_api):
    theirs = Key("a", "a", "curve25519", PUBLIC["curve25519"])
    api = make_api(keys=[theirs, Key("b", "b", "ed25519", private=GOOD)], use=["*"])
    found = api.refused("sealed_box_open", private_key={"kid": "a"}, ciphertext=TEXT)
    assert found == (422, "the private half of this key is not here", "/private_key")
    found = api.refused("verify", public_key={"kid": "b"}, message=b"", signature=bytes(64))
    assert found == (422, "the public half of this key is not here", "/public_key")
    assert api.ask("sealed_box", public_key={"kid": "a"}, plaintext=b"")


# -- who may use which key ------------------------------------------------------------------------


@pytest.mark.parametrize("place", [one for one in PLACES if one[1] != "public_key"], ids=name)
def test_nobody_uses_private_keys_unless_the_operator_says_so(make_api, place):
    operation, field, kind, others = place
    api = make_api(keys=known_keys())
    for by in (None, "us", "them"):
        found = api.refused(operation, **others, **{field: {"kid": f"{kind}-good"}}, by=by)
        assert found == (403, "you may not use keys of us", f"/{field}")


def test_own_keys_are_those_of_the_callers_name(make_api):
    api = make_api(keys=known_keys(), use=["own"])
    assert api.ask("sign", private_key={"kid": "ed25519-good"}, message=b"", by="us")
    for by in (None, "u", "us2", "own"):
        assert api.refused("sign", private_key={"kid": "ed25519-good"}, message=b"", by=by)[0] == 403


@pytest.mark.parametrize(
    ("owners", "may"), [(["us"], True), (["u*"], True), (["*"], True), (["u"], False), (["us2*"], False)]
)
def test_owners_are_listed_by_name_or_beginning(make_api, owners, may):
    api = make_api(keys=known_keys(), use=owners)
    if may:
        assert api.ask("sign", private_key={"kid": "ed25519-good"}, message=b"")
    else:
        assert api.refused("sign", private_key={"kid": "ed25519-good"}, message=b"")[0] == 403


def test_keys_in_requests_can_be_forbidden(make_api):
    api = make_api(keys=known_keys(), inline_keys=False)
    for operation, field, _, others in PLACES:
        if field == "public_key" and "private_key" not in others:
            found = api.refused(operation, **others, **{field: GOOD})
            assert found == (403, "keys are not taken here: name one by its kid", f"/{field}")
    assert api.refused("encrypt", key=GOOD, plaintext=b"")[0] == 403
    assert api.refused("hash", key=GOOD, data=b"")[0] == 403
    assert api.ask("sealed_box", public_key={"kid": "curve25519-good"}, plaintext=b"")


# -- made, derived, judged ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ed25519", "curve25519"])
def test_pairs_are_made_and_belong_together(api, kind):
    first, second = api.ask("generate_key", kind=kind), api.ask("generate_key", kind=kind)
    assert first["private_key"] != second["private_key"]
    assert len(raw(first["private_key"])) == {"ed25519": 64, "curve25519": 32}[kind]
    assert api.ask("public_key", kind=kind, key=first["private_key"]) == {
        "kind": kind,
        "public_key": first["public_key"],
    }
    pair = {"public_key": first["public_key"], "private_key": first["private_key"]}
    assert api.ask("validate_key", kind=kind, **pair) == {"valid": True, "errors": []}
    found = api.ask("validate_key", kind=kind, **pair | {"public_key": second["public_key"]})
    fault = {"pointer": "#/public_key", "detail": "this key is not the public half of private_key"}
    assert found == {"valid": False, "errors": [fault]}


def test_secret_keys_are_made(api):
    key = api.ask("generate_key", kind="secret")
    assert key.keys() == {"kind", "key"}
    assert len(raw(key["key"])) == 32
    assert api.ask("validate_key", kind="secret", key=key["key"])["valid"]


def test_private_keys_are_not_returned_unless_the_operator_says_so(make_api):
    api = make_api(private_keys="never")
    for kind in ("ed25519", "curve25519", "secret"):
        status, detail, _ = api.refused("generate_key", kind=kind)
        assert (status, detail) == (403, "this server returns no private keys: `keep` it, or make it where it is used")


@pytest.mark.parametrize("kind", ["ed25519", "curve25519"])
def test_validation_says_what_is_wrong(api, kind):
    for text, detail in (
        BROKEN_TEXTS[form] for form in ("alphabet", "stray bits", "half padded", "not ASCII", "notation")
    ):
        found = api.ask("validate_key", kind=kind, public_key=text)
        assert found == {"valid": False, "errors": [{"pointer": "#/public_key", "detail": detail}]}
    for key, fault in public_forms(kind).values():
        found = api.ask("validate_key", kind=kind, public_key=key)
        assert found == {"valid": False, "errors": [{"pointer": "#/public_key", "detail": f"this key {fault}"}]}
    for key, fault in private_forms(kind).values():
        found = api.ask("validate_key", kind=kind, private_key=key)
        assert found == {"valid": False, "errors": [{"pointer": "#/private_key", "detail": f"this key {fault}"}]}


def test_validation_reports_both_halves(api):
    found = api.ask("validate_key", kind="curve25519", public_key="%", private_key=bytes(32))
    assert [fault["pointer"] for fault in found["errors"]] == ["#/public_key", "#/private_key"]


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({}, (400, "kind is missing: ed25519, curve25519 or secret", "/kind")),
        ({"kind": "secret"}, (400, "there is nothing to judge: give key", "")),
        (
            {"kind": "secret", "public_key": ""},
            (400, "a key of kind secret has no public_key: give key", "/public_key"),
        ),
        (
            {"kind": "ed25519", "key": ""},
            (400, "a key of kind ed25519 has no key: give public_key or private_key", "/key"),
        ),
        ({"kid": "nobody"}, (422, "there is no key nobody", "/kid")),
    ],
)  # fmt: skip
def test_validation_needs_a_key(api, fields, refusal):
    assert api.refused("validate_key", **fields) == refusal


def test_known_keys_are_validated_with_their_state(known):
    assert known.ask("validate_key", kid="ed25519-good") == {"valid": True, "errors": []}
    for state, words in WORDS.items():
        found = known.ask("validate_key", kid=f"curve25519-{state.replace(' ', '_')}")
        assert found == {"valid": False, "errors": [{"pointer": "#/kid", "detail": words}]}
    found = known.ask("validate_key", kid="curve25519-good", kind="ed25519")
    assert found["errors"] == [{"pointer": "#/kid", "detail": "this key is of kind curve25519, not ed25519"}]


def test_public_halves_of_known_keys_are_for_everybody(make_api):
    api = make_api(keys=known_keys())
    key = api.services.keys.find("ed25519-for-sign")
    assert api.ask("public_key", key={"kid": key.kid}) == {"kind": "ed25519", "public_key": b64(key.public)}
    for kid, detail in [
        ("secret-good", "this key is of kind secret, and has no public half"),
        ("api-key-good", "this key is of kind api-key, and has no public half"),
        ("ed25519-revoked", "this key is revoked"),
    ]:
        assert api.refused("public_key", key={"kid": kid}) == (422, detail, "/key")
    found = api.refused("public_key", key={"kid": "ed25519-good"}, kind="curve25519")
    assert found == (422, "this key is of kind ed25519, not curve25519", "/key")
    assert api.refused("public_key", key=GOOD) == (400, "kind is missing: ed25519 or curve25519", "/kind")
