import pytest

from eventstream.events.canonical import canonical_event
from eventstream.events.codec import from_mapping
from eventstream.events.event import Event
from eventstream.events.strict_json import JsonError, decode

BASE = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}


def canonical(data):
    """Return the canonical form of `data`, which an event carries."""
    form = canonical_event(Event(id="1", source="/s", type="t", data=data)).decode()
    return form.removeprefix('{"data":').removesuffix(',"id":"1","source":"/s","specversion":"1.0","type":"t"}')


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # RFC 8785 section 3.2.2, with what ECMAScript makes of its numbers
        (
            {
                "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
                "string": '\u20ac$\u000f\nA\'B"\\\\"/',
                "literals": [None, True, False],
            },
            (
                '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
                '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
            ),
        ),
        # section 3.2.3: keys by UTF-16 code units, so that U+1F600 stands before U+FB33
        (
            {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7},
            '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}',
        ),
        (1.0, "1"),
        (-0.0, "0"),
        (1e21, "1e+21"),
        (1e20, "100000000000000000000"),
        (1e-7, "1e-7"),
        (2**53 - 1, "9007199254740991"),
        ("\u2028\x7f\b\f\t", '"\u2028\x7f\\b\\f\\t"'),
        ({"b": {"z": [], "a": {}}, "a": [[1]]}, '{"a":[[1]],"b":{"a":{},"z":[]}}'),
    ],
)
def test_the_vectors_of_rfc_8785(data, expected):
    assert canonical(data) == expected


def test_an_event_is_its_json_form_without_its_signature():
    event = Event(
        id="é", source="/s", type="t", subject="x", data=b"\0\xff", extensions={"n": 1, "signature": "s", "b": True}
    )
    unsigned = b'{"b":true,"data_base64":"AP8=","id":"\xc3\xa9","n":1,"source":"/s","specversion":"1.0",'
    unsigned += b'"subject":"x","type":"t"}'
    assert canonical_event(event) == unsigned
    assert canonical_event(event.with_attribute("signaturekey", "k")) == unsigned
    assert canonical_event(event.with_attribute("other", "k")) != unsigned


def test_the_way_an_event_is_written_does_not_matter():
    one = b'{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1.0,"b":"\\u00e9/"}}'
    other = b' {"data": {"b": "\xc3\xa9\\/", "a": 1}, "type": "t", "subject": null, "source": "/s", "id": "1",'
    other += b'"specversion": "1.0"} '
    forms = {canonical_event(from_mapping(decode(body)).event) for body in (one, other)}
    assert len(forms) == 1


@pytest.mark.parametrize("number", [2**53, -(2**53), 10**300])
@pytest.mark.parametrize("data", [lambda number: number, lambda number: {"ä": [number, 0.5]}])
def test_numbers_beyond_a_double_are_refused(number, data):
    event = from_mapping({**BASE, "data": data(number)}).event
    with pytest.raises(JsonError, match="no canonical JSON"):
        canonical_event(event)
