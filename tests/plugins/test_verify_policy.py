"""`verify: {require: …}`: a signature cannot be stripped off what must be signed."""

import base64

import pytest

from eventstream import Event, Form, Keys, Reject, Request, parse_key

SECRET = base64.b64encode(bytes(range(32))).decode()
PUBLIC = base64.b64encode(bytes(range(1, 33))).decode()
SCHEMES = {
    "standard-webhooks": {"webhook-signature": "v1,AAAA", "webhook-id": "1", "webhook-timestamp": "1"},
    "message-signatures": {"signature": "sig1=:AAAA:"},
    "github": {"x-hub-signature-256": "sha256=" + "0" * 64},
    "ed25519": {},
}
BADLY = {"signature": "AAAA", "signaturekey": "shop"}


def event(type="shop.order.paid", source="/shop/1"):
    return Event(id="1", source=source, type=type)


@pytest.fixture(params=list(SCHEMES))
def send(request, run_steps):
    """Run an event through verify, unsigned or badly signed, with or without a request."""
    scheme = request.param
    keys = [parse_key("shop", "shop", "hmac", SECRET), parse_key("shop-2", "shop", "ed25519", PUBLIC)]
    run_steps.services.keys = Keys(keys)

    def send(given, require=None, *, badly=False, request=True):
        headers = SCHEMES[scheme] if badly else {}
        if badly and scheme == "ed25519":
            given = given.replace(extensions=BADLY)
        received = Request("POST", "/events", headers, b"{}", b"{}") if request else None
        options = {"scheme": scheme, "keys": ["shop"], **({"require": require} if require else {})}
        return run_steps([{"verify": options}], given, request=received, form=Form.BATCH)

    return send


@pytest.mark.parametrize(
    ("require", "given", "passes"),
    [
        (None, event(), False),
        (None, event("other"), False),
        ({"type": ["shop.order.*"]}, event(), False),
        ({"type": ["shop.order.*"]}, event("shop.ping"), True),
        ({"type": ["shop.order.paid", "x"]}, event(), False),
        ({"type": ["shop.order.pai"]}, event(), True),
        ({"source": ["/shop/*"]}, event(), False),
        ({"source": ["/shop/*"]}, event(source="/till"), True),
        ({"type": ["x"], "source": ["/shop/*"]}, event(), False),
        ({"type": ["shop.*"], "source": ["x"]}, event(), False),
        ({"type": ["x"], "source": ["y"]}, event(), True),
    ],
)
def test_unsigned_events_pass_only_where_nothing_requires_it(send, run_steps, require, given, passes):
    if passes:
        assert send(given, require) == given
        assert send(given, require, request=False) == given
        assert run_steps.context.key is None
    else:
        for request in (True, False):
            with pytest.raises(Reject) as caught:
                send(given, require, request=request)
            assert caught.value.status == 401


def test_a_bad_signature_is_always_refused(send, run_steps):
    with pytest.raises(Reject) as caught:
        send(event("other"), {"type": ["shop.*"]}, badly=True)
    assert caught.value.status == 401
    assert run_steps.context.key is None


def test_a_batch_is_judged_event_by_event(send):
    outcomes = send([event("other"), event(), event("other")], {"type": ["shop.*"]})
    assert [isinstance(one, Event) for one in outcomes] == [True, False, True]


def test_only_events_without_a_request_need_one(run_steps):
    run_steps.services.keys = Keys([parse_key("shop", "shop", "hmac", SECRET)])

    def needs(**options):
        return run_steps.build({"verify": {"keys": ["shop"], **options}}).needs_request

    assert needs()
    assert needs(scheme="github")
    assert not needs(require={"type": ["x"]})
