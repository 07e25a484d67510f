"""The quick reader against the exact one: what it reads is the same, and it leaves alone whatever may be refused."""

import json
import random

import pytest

from eventstream import Reject, from_mapping
from eventstream.events import quick, strict_json

WHOLE = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
NOW = 1_700_000_000.0


def text(value):
    return json.dumps(value).encode()


def exact(body, max_depth=64, **words):
    """Return the events as the exact reader has them, or None when it refuses any."""
    try:
        value = strict_json.decode(body, max_depth=max_depth)
        events = value if isinstance(value, list) else [value]
        return [from_mapping(event, **words) for event in events]
    except (Reject, strict_json.JsonError):
        return None


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"data": None},
        {"data": {"a": [1, 2.5, "ü", {"b": []}]}},
        {"data": [[]], "subject": "x", "time": "2026-01-31T12:00:00Z"},
        {"datacontenttype": "application/json", "dataschema": "urn:x", "data": "text"},
    ],
)
def test_usual_events_are_read_as_the_exact_reader_reads_them(more):
    whole = text({**WHOLE, **more})
    assert [quick.read_whole(whole, 64)] == exact(whole)
    batch = text([{**WHOLE, "id": str(i), **more} for i in range(3)])
    assert quick.read_batch(batch, 3, 64) == exact(batch)
    plain = text({"type": "t", "id": "1", "source": "/s", **more})
    assert [quick.read_plain(plain, 64, NOW)] == exact(plain, plain=True, now=NOW)


def test_what_a_plain_event_does_not_say_is_filled_in():
    first, second = (quick.read_plain(b'{"type":"t","data":1}', 64, NOW) for _ in range(2))
    assert (first.identified, first.event.source, first.event.time) == (False, "/anonymous", "2023-11-14T22:13:20.000Z")
    assert first.event.id != second.event.id
    assert first.fingerprint == second.fingerprint  # that of what the sender wrote


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"1", b"{", b'"x"',
        text({**WHOLE, "id": ""}),
        text({**WHOLE, "id": "a\nb"}),
        text({**WHOLE, "id": 1}),
        text({**WHOLE, "source": "no uri"}),
        text({**WHOLE, "type": "eventstream.x"}),
        text({**WHOLE, "type": ""}),
        text({**WHOLE, "time": "yesterday"}),
        text({**WHOLE, "subject": ""}),
        text({**WHOLE, "subject": None, "datacontenttype": "x"}),
        text({**WHOLE, "specversion": "0.3"}),
        text({name: value for name, value in WHOLE.items() if name != "specversion"}),
        text({name: value for name, value in WHOLE.items() if name != "id"}),
        text({**WHOLE, "data": 1, "data_base64": "eA=="}),
        text({**WHOLE, "NoName": "x"}),
        b'{"specversion":"1.0","id":"1","id":"2","source":"/s","type":"t"}',
        b'{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1,"a":2}}',
        b'{"id":"1","id":"1","source":"/s","type":"t"}',  # as many colons as the whole event has
        b'{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1,"a":"\\u003a"}}',
        b'{"specversion":"1.0","id":"1","source":"/s","type":"t","data":"\\ud800"}',
        b'{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1e999}',
        b'{"specversion":"1.0","id":"1","source":"/s","type":"t","data":' + b"9" * 400 + b"}",
        b'{"specversion":"1.0","id":"1","source":"/s","type":"t","data":' + b"[" * 64 + b"]" * 64 + b"}",
    ],
)  # fmt: skip
def test_what_may_be_refused_is_left_to_the_exact_reader(body):
    assert quick.read_whole(body, 64) is None
    assert quick.read_batch(b"[" + text(WHOLE) + b"," + body + b"]", 9, 64) is None


@pytest.mark.parametrize("more", [{"extension": "x"}, {"extensions": {"x": "y"}}, {"data_base64": "eA=="}])
def test_other_members_are_left_to_the_exact_reader(more):
    body = text({**WHOLE, **more})
    assert quick.read_whole(body, 64) is None
    assert quick.read_batch(b"[" + body + b"]", 9, 64) is None
    assert quick.read_plain(text({"type": "t", **more}), 64, NOW) is None


def test_a_batch_over_its_bound_is_left_to_the_exact_reader():
    body = text([WHOLE, WHOLE])
    assert quick.read_batch(body, 1, 64) is None
    assert quick.read_batch(body, 2, 64) is not None


@pytest.mark.parametrize("depth", range(1, 8))
def test_nesting_is_bounded_where_the_exact_reader_bounds_it(depth):
    for data in (1, {}, [[]], {"a": [{}]}, [[[[]]]]):
        one, batch = text({**WHOLE, "data": data}), text([{**WHOLE, "data": data}])
        assert (quick.read_whole(one, depth) is None) == (exact(one, depth) is None)
        assert (quick.read_batch(batch, 9, depth) is None) == (exact(batch, depth) is None)


def test_random_texts_are_read_alike():
    """Whatever the quick reader takes, the exact one takes, and as the same events."""
    chance = random.Random(4)
    bits = [
        b'"specversion"', b'"1.0"', b'"id"', b'"source"', b'"type"', b'"data"', b'"time"', b'"subject"', b'"/s"',
        b'"t"', b'"a:b"', b'"\\u003a"', b"null", b"1", b"{", b"}", b"[", b"]", b",", b":", b'""',
        b'"2026-01-31T12:00:00Z"',
    ]  # fmt: skip
    start = text({**WHOLE, "data": {"a": 1, "b": [1]}})
    taken = 0
    for _ in range(20_000):
        body = start
        for _ in range(chance.randint(0, 3)):
            at = chance.randint(0, len(body))
            body = body[:at] + chance.choice(bits) + body[at + chance.randint(0, 8) :]
        found = quick.read_whole(body, 64)
        batch = quick.read_batch(b"[" + body + b"," + start + b"]", 9, 64)
        plain = quick.read_plain(body, 64, NOW)
        if found is not None:
            taken += 1
            assert [found] == exact(body), body
        if batch is not None:
            assert batch == exact(b"[" + body + b"," + start + b"]"), body
        if plain is not None and plain.identified:
            assert [plain] == exact(body, plain=True, now=NOW), body
    assert taken > 1000
