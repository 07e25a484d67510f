import sys

import pytest

from eventstream.events.attributes import fault_in, is_timestamp, timestamp


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", "1"), ("id", " ü😀 "), ("source", "/a"), ("source", "urn:x:1"),
        ("source", "https://a.example/?q=%C3%BC#f"),
        ("source", "#"), ("type", "com.example.a"), ("type", "eventstream"), ("subject", "a b/c"),
        ("datacontenttype", "application/json"), ("datacontenttype", "text/plain; charset=utf-8"),
        ("datacontenttype", "application/vnd.a+json"), ("dataschema", "https://a.example/s.json"),
        ("dataschema", "urn:a"),
        ("time", "2026-01-31T12:00:00Z"), ("ext", ""), ("ext", "x"), ("ext", True), ("ext", 2**31 - 1),
        ("ext", -(2**31)),
        ("a" * 64, 1), ("0", "digit"), ("traceparent", "00-a-b-01"), ("data1", "x"),
    ],
)  # fmt: skip
def test_what_the_specification_allows(name, value):
    assert fault_in(name, value) is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("id", "", "empty"), ("id", None, "null"), ("id", 5, "a number"), ("id", True, "a boolean"),
        ("id", [], "an array"),
        ("id", "\0", "U+0000"), ("id", "\x7f", "U+007F"), ("id", "\x9f", "U+009F"), ("id", "\ud800", "U+D800"),
        ("subject", "\ufdd0", "U+FDD0"), ("subject", "\n", "U+000A"), ("subject", "", "empty"),
        ("source", "a b", "URI reference"), ("source", "ü", "URI reference"), ("source", "%1", "URI reference"),
        ("source", "\\", "URI reference"), ("type", "eventstream.gap", "'eventstream.'"),
        ("dataschema", "/relative", "absolute URI"), ("dataschema", "1a:b", "absolute URI"),
        ("datacontenttype", "json", "media type"), ("datacontenttype", "a/", "media type"),
        ("time", "now", "RFC 3339"),
        ("time", 5, "a number"), ("ext", 2**31, "32-bit"), ("ext", -(2**31) - 1, "32-bit"), ("ext", 1.0, "a number"),
        ("ext", {}, "an object"), ("ext", "a\tb", "U+0009"), ("Ext", 1, "attribute name"),
        ("e-x", 1, "attribute name"),
        ("ü", 1, "attribute name"), ("a" * 65, 1, "attribute name"), ("", 1, "attribute name"),
        ("a\n", 1, "attribute name"),
        ("cursor", "x", "this server only"),
    ],
)  # fmt: skip
def test_what_it_does_not_allow(name, value, words):
    assert words in fault_in(name, value)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00Z", "2026-01-31t12:00:00z", "2024-02-29T23:59:59.123456789+23:59", "2016-12-31T23:59:60Z",
        "0001-01-01T00:00:00-00:00", "9999-12-31T23:59:59Z",
    ],
)  # fmt: skip
def test_timestamps(text):
    assert is_timestamp(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31 12:00:00Z", "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-31T25:00:00Z", "2026-01-31T12:60:00Z", "2026-01-31T12:00:61Z", "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00.1234567890Z", "2026-01-31T12:00:00Z\n", "0000-01-01T00:00:00Z",
        "2026-01-31T12:00Z", "٢٠٢٦-01-31T12:00:00Z", "2026-01-31T12:00:00.٣Z", "20260131T120000Z",
        "2026-01-31T12:00:00+0100",
    ],
)  # fmt: skip
def test_what_is_no_timestamp(text):
    assert not is_timestamp(text)


def test_our_own_timestamps_are_utc_to_the_millisecond():
    assert timestamp(1_800_000_000.1239) == "2027-01-15T08:00:00.123Z"
    assert is_timestamp(timestamp(0.0))


def test_of_all_characters_exactly_the_forbidden_are_refused():
    forbidden = {*range(0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000), *range(0xFDD0, 0xFDF0), 0xFFFE, 0xFFFF}
    refused = {code for code in range(sys.maxunicode + 1) if fault_in("subject", chr(code)) is not None}
    assert refused == forbidden
