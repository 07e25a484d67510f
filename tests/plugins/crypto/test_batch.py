"""What a body may be: one request or an array, each refused for its own reason and never with a 5xx."""

import json

import jsonschema
import pytest
from crypto_api import b64, refusal_of

from eventstream import Reject, Request
from eventstream_plugins.crypto.batch import ALL, OPERATIONS
from eventstream_plugins.crypto.operation import Reply


def post(api, body, kind="application/json"):
    return api.route.handle(Request("POST", "/crypto", {"content-type": kind}, body))


def refused(api, body, kind="application/json"):
    with pytest.raises(Reject) as caught:
        post(api, body, kind)
    return caught.value


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "the body is not JSON: Expecting value"),
        (b"{", "the body is not JSON: Expecting property name"),
        (b"\xff", "the body is not JSON: invalid UTF-8"),
        (b'{"operation": "random", "operation": "hash"}', "the body is not JSON: duplicate key"),
        (b"[" * 9 + b"]" * 9, "the body is not JSON: nested deeper than 8"),
        (b"1", "a request is an object"),
        (b"null", "a request is an object"),
        (b'"sign"', "a request is an object"),
    ],
)
def test_what_is_no_request_is_400(api, body, detail):
    refusal = refused(api, body)
    assert refusal.status == 400
    assert refusal.detail.startswith(detail)


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/cloudevents+json"]
)
def test_only_json_is_taken(api, kind):
    assert refused(api, b'{"operation": "random", "size": 1}', kind).status == 415


def test_a_charset_is_no_harm(api):
    assert post(api, b'{"operation": "random", "size": 1}', "Application/JSON; charset=utf-8").status == 200


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sealedbox", "did you mean sealed_box?"), ("SIGN", "there are generate_key, "), ("sing", "did you mean sign?"),
        ("decypt", "did you mean decrypt?"), ("", "there are generate_key, "), ("x" * 5000, "there are generate_key, "),
    ],
)  # fmt: skip
def test_an_unknown_operation_names_the_nearest(api, name, hint):
    status, detail, pointer = refusal_of(refused(api, json.dumps({"operation": name}).encode()))
    assert (status, pointer) == (400, "/operation")
    assert detail.startswith(f"there is no operation {name[:64]!r}; {hint}")
    assert len(detail) < 400


@pytest.mark.parametrize("value", [{}, {"operation": None}, {"operation": 5}, {"operation": ["sign"]}])
def test_a_missing_operation_names_all(api, value):
    status, detail, pointer = refusal_of(refused(api, json.dumps(value).encode()))
    assert (status, pointer) == (400, "/operation")
    assert all(name in detail for name in OPERATIONS)


@pytest.mark.parametrize("operation", ALL, ids=lambda one: one.__name__)
def test_every_field_is_needed_or_not_and_no_other_is_taken(api, operation):
    name = operation.__struct_config__.tag
    fields = operation.__struct_fields__
    for field in fields[: len(fields) - len(operation.__struct_defaults__)][:1]:
        assert api.refused(name) == (400, f"{name} needs {field}", f"/{field}")
    assert api.refused(name, other=1)[0] == 400
    for field in fields:
        status, _, pointer = api.refused(name, **{field: 1.5})
        assert status == 400
        assert pointer.split("/")[1] in fields


def test_an_unknown_field_is_named_briefly(api):
    assert api.refused("random", size=1, sise=2) == (400, "random has no sise", "/sise")
    assert api.refused("random", size=1, **{"a/b~": 2}) == (400, "random has no a/b~", "/a~1b~0")
    assert len(api.refused("random", size=1, **{"x" * 9999: 2})[1]) < 100
    assert api.refused("generate_key", kind="secret", keep={"owner": "a", "x": 1})[2] == "/keep/x"


@pytest.mark.parametrize("field", ["plaintext", "associated_data"])
def test_data_is_bounded(make_api, field):
    api = make_api(data="1KiB")
    fields = {"key": b"k" * 32, "plaintext": b"", field: bytes(1024)}
    api.ask("encrypt", **fields)
    with pytest.raises(Reject) as caught:
        api.ask("encrypt", **fields | {field: bytes(1025)})
    assert refusal_of(caught.value) == (413, "this has more than 1024 bytes", f"/{field}")
    assert caught.value.members == {"limit": 1024}


def test_what_was_sealed_at_the_bound_can_be_opened(make_api):
    api = make_api(data="1KiB")
    pair = api.ask("generate_key", kind="curve25519")
    sealed = api.ask("sealed_box", public_key=pair["public_key"], plaintext=bytes(1024))
    assert api.ask("sealed_box_open", private_key=pair["private_key"], **sealed) == {"plaintext": b64(bytes(1024))}
    assert api.refused("sealed_box_open", private_key=pair["private_key"], ciphertext=bytes(1024 + 49))[0] == 413


# -- arrays ---------------------------------------------------------------------------------------


def test_each_of_an_array_has_its_own_result(api):
    found = api.send(
        [
            {"operation": "hash", "data": ""},
            {"operation": "compare", "a": "YQ", "b": "!"},
            5,
            {"operation": "compare", "a": "YQ", "b": "YQ"},
        ]
    )["results"]
    assert found[0].keys() == {"operation", "hash"}
    assert found[1]["problem"] == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "this is not base64",
        "errors": [{"detail": "this is not base64", "pointer": "#/1/b"}],
    }
    assert found[2]["problem"]["errors"][0]["pointer"] == "#/2"
    assert found[3] == {"operation": "compare", "equal": True}


def test_an_array_is_bounded(make_api):
    api = make_api(batch=2)
    one = {"operation": "random", "size": 1}
    assert api.send([]) == {"results": []}
    assert len(api.send([one, one])["results"]) == 2
    with pytest.raises(Reject) as caught:
        api.send([one] * 3)
    assert caught.value.status == 413
    assert caught.value.members == {"limit": 2}


def test_arrays_are_not_nested(api):
    assert api.send([[{"operation": "random", "size": 1}]])["results"][0]["problem"]["status"] == 400


def test_others_run_between_two_of_an_array(api):
    pauses = []
    api.services.pause = lambda: pauses.append(1)
    api.send([{"operation": "random", "size": 1}] * 5)
    assert len(pauses) == 5


# -- the OpenAPI document -------------------------------------------------------------------------


@pytest.fixture
def judge(api):
    """A function that holds a value against the request's or the reply's schema."""
    described = api.route.describe()
    schemas = {"components": {"schemas": {**described["schemas"], "Problem": {"type": "object"}}}}
    parts = {"request": described["requestBody"], "reply": described["responses"]["200"]}

    def check(part, value):
        schema = parts[part]["content"]["application/json"]["schema"]
        jsonschema.Draft202012Validator({**schema, **schemas}).validate(value)

    return check


def examples():
    key, private, secret = "CQ" + "A" * 41, b64(bytes(range(1, 33))), b64(b"k" * 32)
    return {
        "generate_key": [{"kind": "ed25519"}, {"kind": "secret"}],
        "public_key": [{"kind": "curve25519", "key": private}],
        "validate_key": [{"kind": "curve25519", "public_key": "??"}],
        "box": [{"public_key": key, "private_key": private, "plaintext": "YQ"}],
        "sealed_box": [{"public_key": key, "plaintext": ""}],
        "encrypt": [{"key": secret, "plaintext": "", "associated_data": "YQ=="}],
        "sign": [{"private_key": private, "message": ""}],
        "hash": [{"data": "-_-_"}, {"data": "", "key": secret, "size": 64}, {"data": "", "algorithm": "sha512"}],
        "password_hash": [{"password": "x"}],
        "compare": [{"a": "", "b": ""}],
        "random": [{"size": 5}],
    }


@pytest.mark.parametrize("operation", examples())
def test_requests_and_replies_are_as_described(api, judge, operation):
    for fields in examples()[operation]:
        request = {"operation": operation, **fields}
        judge("request", request)
        judge("request", [request])
        judge("reply", api.send(request))
        judge("reply", api.send([request, 5]))


@pytest.mark.parametrize(
    "request_",
    [
        {}, {"operation": "seal"}, {"operation": "random"}, {"operation": "random", "size": 0}, {"operation": "hash"},
        {"operation": "hash", "data": "A"}, {"operation": "hash", "data": "", "more": 1}, [[]], "hash",
        {"operation": "verify", "public_key": "CQ" + "A" * 41, "message": "", "signature": "AAAA"},
        {"operation": "sealed_box", "public_key": {"kid": "a b"}, "plaintext": ""},
    ],
    ids=str,
)  # fmt: skip
def test_the_description_refuses_what_the_route_refuses(api, judge, request_):
    with pytest.raises(jsonschema.ValidationError):
        judge("request", request_)
    if isinstance(request_, list):
        assert "problem" in api.send(request_)["results"][0]
    else:
        assert refused(api, json.dumps(request_).encode()).status == 400


def test_every_operation_has_its_reply(api):
    tags = {reply.__struct_config__.tag for reply in Reply.__subclasses__()}
    assert tags == OPERATIONS.keys()
    schemas = api.route.describe()["schemas"]
    assert schemas["crypto.Request"]["discriminator"]["mapping"].keys() == OPERATIONS.keys()
    assert schemas["crypto.Reply"]["discriminator"]["mapping"].keys() == OPERATIONS.keys()
    for mapping in (schemas[f"crypto.{part}"]["discriminator"]["mapping"] for part in ("Request", "Reply")):
        assert all(ref.removeprefix("#/components/schemas/") in schemas for ref in mapping.values())
