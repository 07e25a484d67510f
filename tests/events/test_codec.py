import pytest

from eventstream.errors import Reject
from eventstream.events.codec import decode_stored, encode, from_mapping, is_json
from eventstream.events.event import UNSET, Event

MINIMAL = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}


def pointers(fields, **options):
    with pytest.raises(Reject) as caught:
        from_mapping(fields, **options)
    assert caught.value.status == 400
    return [fault.pointer for fault in caught.value.faults]


@pytest.mark.parametrize(
    "extra",
    [
        {}, {"data": None}, {"data": {"a": [1]}}, {"data": "text"}, {"data_base64": "AP8="}, {"data_base64": ""},
        {"time": "2026-01-31T12:00:00Z", "subject": "s", "datacontenttype": "text/plain", "dataschema": "urn:s"},
        {"traceparent": "x", "count": 3, "flag": False, "empty": ""},
    ],
)  # fmt: skip
def test_an_event_survives_being_stored(extra):
    event = from_mapping({**MINIMAL, **extra}).event
    assert decode_stored(encode(event)) == event
    assert from_mapping({**MINIMAL, **extra}).identified


def test_null_attributes_are_unset_but_null_data_is_data():
    event = from_mapping({**MINIMAL, "subject": None, "ext": None, "data": None}).event
    assert (event.subject, event.extensions, event.data) == (None, {}, None)
    assert from_mapping(MINIMAL).event.data is UNSET


def test_the_wire_form_has_the_specification_s_order():
    event = Event(id="1", source="/s", type="t", data=[1], extensions={"b": 1}, subject="x")
    assert encode(event) == b'{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"x","b":1,"data":[1]}'


@pytest.mark.parametrize("version", ["0.3", 1.0, 1, True, ["1.0"], "1.0 ", ""])
def test_other_versions_are_refused(version):
    assert pointers({**MINIMAL, "specversion": version}) == ["/specversion"]


def test_every_fault_has_its_pointer():
    assert pointers({"id": "", "a/b~c": 1}) == ["/specversion", "/id", "/a~1b~0c", "/source", "/type"]


@pytest.mark.parametrize("data", ["%", "YQ", "YQ=", "Y Q==", "ü", 5, [], {}, True])
def test_data_base64_is_base64(data):
    assert pointers({**MINIMAL, "data_base64": data}) == ["/data_base64"]


@pytest.mark.parametrize("fields", [None, 1, "x", [], [MINIMAL], True])
def test_an_event_is_an_object(fields):
    assert pointers(fields) == []


def test_a_plain_event_is_filled_in():
    one = from_mapping({"type": "t"}, plain=True, now=1_800_000_000.0)
    two = from_mapping({"type": "t"}, plain=True, now=1_800_000_009.0)
    assert (one.event.source, one.event.time) == ("/anonymous", "2027-01-15T08:00:00.000Z")
    assert one.event.id != two.event.id
    assert not one.identified
    assert one.fingerprint == two.fingerprint


def test_a_plain_event_keeps_what_it_brings():
    fields = {"type": "t", "id": "1", "source": "/s", "timestamp": "2026-01-31T12:00:00Z", "x": "y"}
    plain = from_mapping(fields, plain=True)
    assert plain.identified
    assert (plain.event.id, plain.event.time, plain.event.get("x")) == ("1", "2026-01-31T12:00:00Z", "y")


def test_a_fingerprint_is_of_the_content_alone():
    base = from_mapping({**MINIMAL, "data": {"a": 1, "b": [2]}}).fingerprint
    assert from_mapping({"data": {"b": [2], "a": 1}, **MINIMAL, "id": "2", "source": "/o"}).fingerprint == base
    for other in ({"data": {"a": 1, "b": [3]}}, {"data": {"a": 1, "b": [2]}, "subject": "s"}, {"type": "u"}, {}):
        assert from_mapping({**MINIMAL, **other}).fingerprint != base


def test_a_signature_is_no_content():
    base = from_mapping({**MINIMAL, "data": 1}).fingerprint
    assert from_mapping({**MINIMAL, "data": 1, "signature": "AAAA", "signaturekey": "new"}).fingerprint == base


def test_kinds_of_data_have_fingerprints_of_their_own():
    kinds = (
        {},
        {"data": None},
        {"data": "YQ=="},
        {"data_base64": "YQ=="},
        {"data": "a"},
        {"data": {"data_base64": "a"}},
    )
    assert len({from_mapping({**MINIMAL, **kind}).fingerprint for kind in kinds}) == len(kinds)


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        (None, True), ("application/json", True), ("Application/JSON; charset=utf-8", True),
        ("application/vnd.x+json", True),
        ("application/jsonl", False), ("text/json", False), ("", False),
    ],
)  # fmt: skip
def test_json_media_types(media_type, expected):
    assert is_json(media_type) == expected


def test_extensions_are_read_and_set_like_any_attribute():
    event = from_mapping({**MINIMAL, "ext": 1}).event
    assert (event.get("ext"), event.get("specversion"), event.get("nothing"), event.get("data")) == (
        1,
        "1.0",
        None,
        None,
    )
    assert event.with_attribute("ext", None).extensions == {}
    assert event.with_attribute("subject", "s").subject == "s"
    assert event.with_attribute("more", "x").get("more") == "x"
    assert event.extensions == {"ext": 1}
