import json

import pytest

from eventstream.errors import Reject
from eventstream.events.codec import Form
from eventstream.events.event import UNSET
from eventstream.events.http_binding import decode_request

BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t"}
EVENT = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}


def decode(headers, body=b"", *, max_batch=10):
    return decode_request(headers, body, now=0.0, max_batch=max_batch)


def binary(headers, body=b""):
    (item,) = decode({**BINARY, **headers}, body).items
    return item.event


def refusal(headers, body=b"", **options):
    with pytest.raises(Reject) as caught:
        decode(headers, body, **options)
    return caught.value


@pytest.mark.parametrize(
    ("content_type", "form"),
    [
        ("application/cloudevents+json", Form.STRUCTURED),
        ("Application/CloudEvents+JSON ; charset=UTF-8", Form.STRUCTURED),
        ("application/cloudevents", Form.STRUCTURED),
        ("application/cloudevents-batch+json", Form.BATCH),
        ("APPLICATION/CLOUDEVENTS-BATCH+JSON", Form.BATCH),
        ("application/json", Form.PLAIN),
        ("application/json;charset=utf-8", Form.PLAIN),
    ],
)
def test_the_content_type_tells_the_form(content_type, form):
    body = json.dumps([EVENT] if form is Form.BATCH else EVENT).encode()
    assert decode({"content-type": content_type}, body).form is form


def test_with_attributes_a_plain_body_is_data():
    attributes = {"type": "com.github.push", "id": "7"}

    def given(content_type, body, **headers):
        headers = {**headers, "content-type": content_type}
        return decode_request(headers, body, now=0.0, max_batch=10, attributes=attributes)

    for body in ({"type": "Repository", "id": 5, "specversion": "x"}, [1], None, "x"):
        found = given("application/json", json.dumps(body).encode())
        (item,) = found.items
        assert found.form is Form.DATA
        assert (item.event.type, item.event.id, item.event.data, item.identified) == (
            "com.github.push",
            "7",
            body,
            True,
        )
    assert given("application/cloudevents+json", json.dumps(EVENT).encode()).form is Form.STRUCTURED
    assert given("application/json", b"1", **BINARY).form is Form.BINARY
    with pytest.raises(Reject):
        given("application/json", b"{")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
def test_ce_headers_make_any_other_type_binary(content_type):
    assert decode({**BINARY, "content-type": content_type}, b"1").form is Form.BINARY


def test_the_structured_type_wins_over_ce_headers():
    found = decode({**BINARY, "ce-id": "2", "content-type": "application/cloudevents+json"}, json.dumps(EVENT).encode())
    assert found.form is Form.STRUCTURED
    assert found.items[0].event.id == "1"


@pytest.mark.parametrize(
    "content_type",
    ["application/cloudevents+xml", "application/cloudevents-batch+xml", "application/cloudeventsx", "text/html", ""],
)
def test_other_formats_are_415(content_type):
    assert refusal({"content-type": content_type}, b"{}").status == 415


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("plain", "plain"),
        ("  padded\t", "padded"),
        ("Euro%20%E2%82%AC", "Euro €"),
        ("%e2%82%ac", "€"),
        ("%F0%9F%98%80", "😀"),
        ("a b", "a b"),
        ("\xe2\x82\xac", "€"),
        ("100%25", "100%"),
        ("%2525", "%25"),
        ('"quoted"', "quoted"),
        ('"with \\"quotes\\" and \\\\"', 'with "quotes" and \\'),
        ('"%22"', '"'),
        ('"', '"'),
        ('a"b"', 'a"b"'),
        ("a+b", "a+b"),
    ],
)
def test_header_values_are_unquoted_once_and_percent_decoded_once(raw, value):
    assert binary({"ce-subject": raw}).subject == value


@pytest.mark.parametrize(
    "raw",
    [
        "%", "%4", "%GG", "%%41", "a%", "%ff", "%c0%80", "%c0%af", "%e0%80%af", "%f0%80%80%af", "%ed%a0%80",
        "%ed%bf%bf",
        "%f4%90%80%80", "%f8%88%80%80%80", "%80", "%e2%82", "\xff", "\xc0\xaf", "%00", "%0A", "%7f", "", '""',
        "%ef%bf%bf",
    ],
)  # fmt: skip
def test_overlong_invalid_and_forbidden_values_are_refused(raw):
    found = refusal({**BINARY, "ce-subject": raw})
    assert found.status == 400
    assert [fault.pointer for fault in found.faults] == ["/subject"]


def test_extensions_and_their_types_are_strings():
    assert binary({"ce-ext": "5", "ce-flag": "true"}).extensions == {"ext": "5", "flag": "true"}


@pytest.mark.parametrize(
    ("content_type", "body", "data"),
    [
        ("application/json", b'{"a": 1}', {"a": 1}),
        ("application/vnd.x+json; charset=utf-8", b"[1]", [1]),
        ("application/json", b"", UNSET),
        ("text/plain", "grün".encode(), "grün"),
        ("text/plain", b"\xff", b"\xff"),
        ("application/octet-stream", b"\0\1", b"\0\1"),
        ("", b"{}", b"{}"),
        ("image/png", b"", UNSET),
    ],
)
def test_the_body_is_the_data_of_its_content_type(content_type, body, data):
    event = binary({"content-type": content_type} if content_type else {}, body)
    assert event.data == data
    assert event.datacontenttype == (content_type or None)


def test_every_fault_of_the_headers_is_told():
    found = refusal({"ce-id": "", "ce-x-y": "1", "content-type": "nonsense"})
    pointers = {fault.pointer for fault in found.faults}
    assert pointers == {"/id", "/x-y", "/specversion", "/source", "/type", "/datacontenttype"}


def test_datacontenttype_is_no_header_of_its_own():
    assert "Content-Type is" in refusal({**BINARY, "ce-datacontenttype": "text/plain"}).faults[0].detail


def test_a_batch_keeps_its_order_and_refuses_by_item():
    body = json.dumps([EVENT, {}, 5, {**EVENT, "id": "2"}]).encode()
    items = decode({"content-type": "application/cloudevents-batch+json"}, body).items
    assert [isinstance(item, Reject) for item in items] == [False, True, True, False]
    assert [items[0].event.id, items[3].event.id] == ["1", "2"]


@pytest.mark.parametrize(("count", "taken"), [(0, True), (10, True), (11, False)])
def test_a_batch_is_bounded(count, taken):
    headers = {"content-type": "application/cloudevents-batch+json"}
    body = json.dumps([EVENT] * count).encode()
    if taken:
        assert len(decode(headers, body).items) == count
    else:
        found = refusal(headers, body)
        assert (found.status, found.members) == (413, {"limit": 10})


def test_a_plain_list_is_told_which_type_it_needs():
    assert "cloudevents-batch" in refusal({"content-type": "application/json"}, b"[]").detail


def test_a_repeat_has_the_fingerprint_of_the_first_whatever_the_header_order():
    one = decode({**BINARY, "ce-a": "1", "ce-b": "2", "content-type": "application/json"}, b'{"x": 1}').items[0]
    two = decode(
        dict(reversed({**BINARY, "content-type": "application/json", "ce-a": "1", "ce-b": "2"}.items())), b'{"x":1}'
    )
    assert one.fingerprint == two.items[0].fingerprint
