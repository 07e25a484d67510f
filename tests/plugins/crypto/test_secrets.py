"""No secret that a request brings stands in a refusal, a problem, or what Python prints of an object."""

import base64
import traceback

import pytest
from crypto_api import b64, make_key

from eventstream import Reject
from eventstream.wire.problem import problem_body
from eventstream_plugins.crypto.batch import read

SECRET = b"planted-secret-planted-secret-32"
FORMS = [SECRET.decode(), b64(SECRET), b64(SECRET).rstrip("="), SECRET.hex(), base64.b64encode(SECRET + b"x").decode()]
WRONG = {
    "!": SECRET.decode() + "!",
    "long": b64(SECRET + b"x"),
    "text": SECRET.decode(),
    "kid": {"kid": SECRET.decode() + " "},
}
PLACES = [
    ("box", "private_key", {"public_key": b"p" * 32, "plaintext": b""}),
    ("box_open", "private_key", {"public_key": b"p" * 32, "ciphertext": bytes(16), "nonce": bytes(24)}),
    ("sealed_box_open", "private_key", {"ciphertext": bytes(48)}),
    ("sign", "private_key", {"message": b""}),
    ("encrypt", "key", {"plaintext": b""}),
    ("encrypt", "plaintext", {"key": b"k" * 5}),
    ("decrypt", "key", {"ciphertext": bytes(16), "nonce": bytes(24)}),
    ("hash", "key", {"data": b"", "algorithm": "sha256"}),
    ("public_key", "key", {"kind": "secret"}),
    ("password_hash", "password", {"more": 1}),
    ("password_verify", "password", {"hash": "x"}),
    ("random", "size", {}),
    ("generate_key", "kind", {}),
    ("hash", "algorithm", {"data": b""}),
]


@pytest.mark.parametrize("form", WRONG)
@pytest.mark.parametrize(("operation", "field", "others"), PLACES, ids=lambda one: one if isinstance(one, str) else "")
def test_a_refusal_shows_no_secret(api, operation, field, others, form):
    value = WRONG[form]
    if operation.startswith("password") and not isinstance(value, str):
        value = [value]
    with pytest.raises(Reject) as caught:
        api.ask(operation, **others, **{field: value})
    shown = problem_body(caught.value).decode() + caught.value.private + repr(caught.value)
    shown += "".join(traceback.format_exception(caught.value))
    assert [form for form in FORMS if form in shown] == []


def test_what_is_printed_of_a_request_shows_no_secret(make_api):
    secret = b64(SECRET)
    requests = [
        {"operation": "encrypt", "key": secret, "plaintext": secret, "associated_data": secret},
        {"operation": "password_hash", "password": SECRET.decode()},
        {"operation": "validate_key", "kind": "secret", "key": secret},
    ]
    api = make_api(keys=[make_key("us", "secret", private=SECRET)], use=["us"])
    for request in requests:
        operation = read(request)
        shown = [repr(operation), str(operation)]
        shown += [repr(getattr(operation, name)) for name in operation.__struct_fields__ if name == "plaintext"]
        assert [form for form in FORMS if any(form in text for text in shown)] == []
    assert SECRET.decode() not in repr(api.services.keys.find("us"))
