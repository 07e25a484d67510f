import gzip
import json

import pytest

PLAIN = "Content-Type: application/json"
STRUCTURED = "Content-Type: application/cloudevents+json"
BATCH = "Content-Type: application/cloudevents-batch+json"
MEBIBYTE = 2**20


def event(**changes):
    fields = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", **changes}
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


def problem(reply, status):
    assert reply.status == status, reply
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json()
    assert body["status"] == status
    assert body["title"]
    assert body["instance"] == f"urn:request:{reply.headers['x-request-id']}"
    return body


NOT_JSON = {
    "empty": (b"", "line 1 column 1"),
    "garbage": (b"{type: 1}", "line 1 column 2"),
    "half": (b'{"type": "a"', "line 1 column 13"),
    "trailing": (b'{"type": "a"} {}', "Extra data"),
    "trailing comma": (b'{"type": "a",}', "line 1"),
    "NaN": (b'{"type": "a", "data": NaN}', "NaN is not JSON"),
    "Infinity": (b'{"type": "a", "data": -Infinity}', "-Infinity is not JSON"),
    "huge float": (b'{"type": "a", "data": 1e999}', "out of range"),
    "huge integer": (b'{"type": "a", "data": 1%b}' % (b"0" * 400), "out of range"),
    "monstrous integer": (b'{"type": "a", "data": 1%b}' % (b"0" * 100_000), "out of range"),
    "duplicate key": (b'{"type": "a", "type": "b"}', "duplicate key 'type'"),
    "duplicate key in data": (b'{"type": "a", "data": {"x": {"k": 1, "k": 1}}}', "duplicate key 'k'"),
    "lone surrogate": (b'{"type": "a", "data": "\\ud800"}', "lone surrogate"),
    "lone surrogate as key": (b'{"type": "a", "data": {"\\udfff": 1}}', "lone surrogate"),
    "surrogates the wrong way round": (b'{"type": "a", "data": "\\ude00\\ud83d"}', "lone surrogate"),
    "invalid UTF-8": (b'{"type": "a", "data": "\xff"}', "invalid UTF-8 at byte 23"),
    "overlong UTF-8": (b'{"type": "a", "data": "\xc0\xaf"}', "invalid UTF-8 at byte 23"),
    "surrogate in UTF-8": (b'{"type": "a", "data": "\xed\xa0\x80"}', "invalid UTF-8 at byte 23"),
    "UTF-16": ('{"type": "a"}'.encode("utf-16"), "invalid UTF-8 at byte 0"),
    "byte order mark": (b'\xef\xbb\xbf{"type": "a"}', "line 1 column 1"),
    "raw control character": (b'{"type": "a\x00"}', "control character"),
    "deep lists": (b'{"type": "a", "data": ' + b"[" * 500_000, "deeper than 64"),
    "deep objects": (b'{"type": "a", "data": ' + b'{"a":' * 100_000, "deeper than 64"),
    "deep behind a string that never ends": (b'{"type": "' + b'\\"' * 500_000 + b"[" * 70, "Unterminated string"),
}


@pytest.mark.parametrize("name", NOT_JSON)
@pytest.mark.parametrize("kind", [PLAIN, STRUCTURED, BATCH])
def test_what_is_not_json_is_400_and_says_where(post, kind, name):
    body, words = NOT_JSON[name]
    assert words in problem(post(body, kind), 400)["detail"]


NO_EVENT = {
    "null": (b"null", []),
    "number": (b"1", []),
    "string": (b'"x"', []),
    "list": (b"[]", []),
    "nothing": (b"{}", ["#/specversion", "#/id", "#/source", "#/type"]),
    "other version": (event(specversion="0.3"), ["#/specversion"]),
    "version as number": (event(specversion=1.0), ["#/specversion"]),
    "empty id": (event(id=""), ["#/id"]),
    "id is a number": (event(id=7), ["#/id"]),
    "id is null": (event(id=None), ["#/id"]),
    "id is a list": (event(id=["a"]), ["#/id"]),
    "NUL in id": (event(id="a\0b"), ["#/id"]),
    "line end in type": (event(type="a\nid: 1"), ["#/type"]),
    "noncharacter in subject": (event(subject="\uffff"), ["#/subject"]),
    "empty subject": (event(subject=""), ["#/subject"]),
    "source is no URI": (event(source="a b"), ["#/source"]),
    "source with a broken escape": (event(source="/%zz"), ["#/source"]),
    "reserved type": (event(type="eventstream.gap"), ["#/type"]),
    "relative dataschema": (event(dataschema="a/b"), ["#/dataschema"]),
    "no media type": (event(datacontenttype="json"), ["#/datacontenttype"]),
    "no time": (event(time="yesterday"), ["#/time"]),
    "time that never was": (event(time="2026-02-30T12:00:00Z"), ["#/time"]),
    "time without zone": (event(time="2026-02-20T12:00:00"), ["#/time"]),
    "time with other digits": (event(time="2026-02-20T12:00:00.٣Z"), ["#/time"]),
    "upper-case extension": (event(traceParent="x"), ["#/traceParent"]),
    "extension with a dash": (event(**{"a-b": 1}), ["#/a-b"]),
    "extension with slash and tilde": (event(**{"a/~": 1}), ["#/a~1~0"]),
    "extension is an object": (event(ext={"a": 1}), ["#/ext"]),
    "extension is a float": (event(ext=1.5), ["#/ext"]),
    "extension beyond int32": (event(ext=2**31), ["#/ext"]),
    "the server's own attribute": (event(cursor="a-1"), ["#/cursor"]),
    "both data": (event(data=1, data_base64="YQ=="), ["#/data_base64"]),
    "data_base64 is no base64": (event(data_base64="%"), ["#/data_base64"]),
    "data_base64 is a number": (event(data_base64=1), ["#/data_base64"]),
    "many at once": (event(id=1, type="", source=[]), ["#/id", "#/type", "#/source"]),
}


@pytest.mark.parametrize("name", NO_EVENT)
def test_what_is_no_event_is_400_with_a_pointer_for_each_fault(post, name):
    body, pointers = NO_EVENT[name]
    found = problem(post(body, STRUCTURED), 400)
    assert sorted(error["pointer"] for error in found.get("errors", [])) == sorted(pointers)
    assert all(error["detail"] for error in found.get("errors", []))


@pytest.mark.parametrize(
    ("body", "pointers"),
    [(b"{}", ["#/type"]), (b'{"type": 1}', ["#/type"]), (b'{"type": "a", "timestamp": "x"}', ["#/time"]), (b"[]", [])],
)
def test_the_plain_form_needs_only_a_type(post, body, pointers):
    found = problem(post(body, PLAIN), 400)
    assert [error["pointer"] for error in found.get("errors", [])] == pointers


def test_a_batch_names_each_fault_by_its_place(post):
    items = [json.loads(event(id="b1")), {"specversion": "1.0"}, json.loads(event(id="", type="")), 5]
    found = problem(post(json.dumps(items).encode(), BATCH), 400)
    pointers = [error["pointer"] for error in found["errors"]]
    assert pointers == ["#/1/id", "#/1/source", "#/1/type", "#/2/id", "#/2/type", "#/3"]
    assert "3 of 4 events were refused" in found["detail"]


def test_a_batch_that_is_no_list_is_400(post):
    assert "array" in problem(post(event(), BATCH), 400)["detail"]


def test_faults_that_are_told_are_bounded(post):
    body = json.dumps({f"A{i}": 1 for i in range(5000)}).encode()
    assert len(problem(post(body, PLAIN), 400)["errors"]) == 100
    long_name = json.dumps({"type": "a", "X" * 500_000: 1}).encode()
    reply = post(long_name, PLAIN)
    problem(reply, 400)
    assert len(reply.body) < 1000


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/jsonx",
        "application/xml",
        "application/cloudevents+xml",
        "application/cloudevents-batch+avro",
        "application/cloudeventsjson",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "\xe9/\xff",
        ";;;",
    ],
)
def test_other_content_types_are_415(post, kind):
    assert "is not accepted" in problem(post(event(), f"Content-Type: {kind}"), 415)["detail"]


def test_a_missing_content_type_is_415(post):
    assert "missing" in problem(post(event()), 415)["detail"]


def test_content_types_are_taken_in_any_case_and_with_parameters(post):
    reply = post(event(id="case", source="/types"), "Content-Type: Application/CloudEvents+JSON; charset=UTF-8")
    assert reply.status == 201


def gzipped(body):
    return gzip.compress(body, mtime=0)


def test_gzip_bodies_are_taken(post):
    reply = post(gzipped(event(id="gz", source="/gzip")), STRUCTURED, "Content-Encoding: gzip")
    assert reply.status == 201


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (gzipped(b" " * (MEBIBYTE + 1)), 413, "more than 1048576 bytes"),
        (gzipped(b"0" * 100 * MEBIBYTE), 413, "more than 1048576 bytes"),
        (gzipped(event())[:-4], 400, "cut short"),
        (gzipped(event()) + b"x", 400, "followed by other bytes"),
        (gzipped(event()) + gzipped(b" "), 400, "followed by other bytes"),
        (event(), 400, "not gzip"),
        (b"", 400, "cut short"),
    ],
    ids=["too large", "bomb", "truncated", "trailing", "two members", "plain", "empty"],
)
def test_bad_gzip_bodies_are_refused(post, body, status, words):
    assert words in problem(post(body, STRUCTURED, "Content-Encoding: gzip"), status)["detail"]


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd", "\xff"])
def test_unknown_content_encodings_are_415_and_say_which_is_taken(post, encoding):
    reply = post(event(), STRUCTURED, f"Content-Encoding: {encoding}")
    problem(reply, 415)
    assert reply.headers["accept-encoding"] == "gzip"


def test_a_body_over_the_limit_is_413_with_the_limit(post):
    reply = post(b" " * (MEBIBYTE + 1), PLAIN)
    assert problem(reply, 413)["limit"] == MEBIBYTE
    assert reply.headers["connection"] == "close"


def test_a_body_of_exactly_the_limit_is_taken(post):
    body = event(id="limit", source="/limit").ljust(MEBIBYTE)
    assert post(body, STRUCTURED).status == 201


def test_a_batch_over_the_limit_is_413_with_the_limit(post):
    items = b"[%b]" % b",".join([event()] * 1001)
    assert problem(post(items, BATCH), 413)["limit"] == 1000


BINARY = ("ce-specversion: 1.0", "ce-id: 1", "ce-source: /s", "ce-type: t")


@pytest.mark.parametrize(
    ("headers", "pointers"),
    [
        (("ce-id: 1",), ["#/source", "#/specversion", "#/type"]),
        ((*BINARY[1:], "ce-specversion: 2.0"), ["#/specversion"]),
        ((*BINARY, "ce-datacontenttype: text/plain"), ["#/datacontenttype"]),
        ((*BINARY, "ce-subject: %"), ["#/subject"]),
        ((*BINARY, "ce-subject: %4"), ["#/subject"]),
        ((*BINARY, "ce-subject: %zz"), ["#/subject"]),
        ((*BINARY, "ce-subject: %ff"), ["#/subject"]),
        ((*BINARY, "ce-subject: %c0%af"), ["#/subject"]),
        ((*BINARY, "ce-subject: %ed%a0%80"), ["#/subject"]),
        ((*BINARY, "ce-subject: \xff"), ["#/subject"]),
        ((*BINARY, "ce-subject: %00"), ["#/subject"]),
        ((*BINARY, "ce-subject: %0d%0a"), ["#/subject"]),
        ((*BINARY, "ce-subject:"), ["#/subject"]),
        ((*BINARY, 'ce-subject: ""'), ["#/subject"]),
        ((*BINARY, "ce-my-ext: 1"), ["#/my-ext"]),
        ((*BINARY, "ce-data: 1"), ["#/data"]),
        ((*BINARY, "ce-: 1"), ["#/"]),
        ((*BINARY, "ce-time: noon"), ["#/time"]),
        ((*BINARY, "Content-Type: nonsense"), ["#/datacontenttype"]),
    ],
)
def test_bad_binary_mode_headers_are_400_with_pointers(post, headers, pointers):
    found = problem(post(b"", *headers), 400)
    assert sorted(error["pointer"] for error in found["errors"]) == pointers


def test_a_binary_body_must_be_what_its_content_type_says(post):
    assert "not JSON" in problem(post(b"{", *BINARY, "Content-Type: application/json"), 400)["detail"]


@pytest.mark.parametrize("key", ["", '""', '"a', 'a"b', "a b", '"\\x"', "x" * 256, "\xe9", '"a";p=1'])
def test_bad_idempotency_keys_are_400(post, key):
    assert "Idempotency-Key" in problem(post(b'{"type": "a"}', PLAIN, f"Idempotency-Key: {key}"), 400)["detail"]
