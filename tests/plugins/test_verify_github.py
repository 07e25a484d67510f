"""`verify: {scheme: github}`."""

import hashlib
import hmac
import json

import pytest

from eventstream import Event, Form, Keys, Reject, Request, parse_key

# GitHub's published example.
SECRET, BODY = "It's a Secret to Everybody", b"Hello, World!"
SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
EVENT = Event(id="e", source="/anonymous", type="com.github.push", data={"ref": "main"})
HEADERS = {"x-github-event": "push", "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}


@pytest.fixture
def send(run_steps):
    """Run a request through verify."""
    run_steps.services.keys = Keys([parse_key("forge", "forge", "text", SECRET)])

    def send(signature=SIGNATURE, *, body=BODY, form=Form.DATA, headers=None, event=EVENT):
        given = {**HEADERS, "x-hub-signature-256": signature} if headers is None else headers
        request = Request("POST", "/events", given, body, body)
        return run_steps([{"verify": {"scheme": "github", "keys": ["forge"]}}], event, request=request, form=form)

    return send


def sign(body):
    return "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def test_the_published_example(send, run_steps):
    assert send() == EVENT.replace(source="/keys/forge")
    assert (run_steps.context.key, run_steps.context.kid) == ("forge", "forge")


@pytest.mark.parametrize(
    "signature",
    [
        "", "sha256=", SIGNATURE[7:], SIGNATURE.upper(), SIGNATURE.replace("sha256", "sha1"), SIGNATURE + " ",
        SIGNATURE[:-1], SIGNATURE + "0", f"{SIGNATURE},{SIGNATURE}", f"{SIGNATURE}, {SIGNATURE}", " " + SIGNATURE,
        "sha256=" + "0" * 64, "sha256=" + "\xe9" * 64, SIGNATURE + "\n", SIGNATURE * 1000, "sha256=" + "\u0660" * 64,
    ],
)  # fmt: skip
def test_bad_signatures_are_refused(send, signature):
    with pytest.raises(Reject) as caught:
        send(signature)
    assert (caught.value.status, caught.value.reason) == (401, "signature")
    assert caught.value.private


def test_any_altered_byte_is_refused(send):
    for place in range(len(BODY)):
        altered = bytearray(BODY)
        altered[place] ^= 1
        with pytest.raises(Reject):
            send(body=bytes(altered))
    with pytest.raises(Reject):
        send(body=b"x" * 300_000)
    assert send(sign(b"x" * 300_000), body=b"x" * 300_000)


def test_structured_events_keep_their_own(send):
    assert send(form=Form.STRUCTURED) == EVENT
    assert send(form=Form.BATCH, event=[EVENT, EVENT]) == [EVENT, EVENT]


@pytest.mark.parametrize(("form", "status"), [(Form.BINARY, 400), (Form.PLAIN, 401)])
def test_what_is_not_signed_is_not_believed(send, form, status):
    with pytest.raises(Reject) as caught:
        send(form=form)
    assert caught.value.status == status


def test_a_signed_cloudevent_cannot_be_replayed_as_data(send):
    body = json.dumps({"specversion": "1.0", "id": "1", "source": "/a", "type": "t"}).encode()
    with pytest.raises(Reject) as caught:
        send(sign(body), body=body)
    assert caught.value.status == 400


def test_without_a_signature(send):
    with pytest.raises(Reject) as caught:
        send(headers=HEADERS)
    assert caught.value.status == 401


def test_what_github_posts_becomes_an_event(run_steps):
    run_steps.services.keys = Keys([parse_key("forge", "forge", "text", SECRET)])
    step = run_steps.build({"verify": {"scheme": "github", "keys": ["forge"]}})
    body = b'{"zen": "x"}'

    def attributes(name):
        return step.attributes(Request("POST", "/events", {"x-github-event": name}, body, body))

    ident = hashlib.sha256(body).hexdigest()
    assert attributes("pull_request") == {"type": "com.github.pull_request", "id": ident}
    for name in ("", "Push", "a.b", "a b", "x" * 65, "\xe9", "push,push", "push\n"):
        assert attributes(name) is None, name
    assert step.attributes(Request("POST", "/events", {}, body)) is None
    other = run_steps.build({"verify": {"scheme": "message-signatures", "keys": ["forge"]}})
    assert other.attributes(Request("POST", "/events", HEADERS, body)) is None
