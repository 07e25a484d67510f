import json
import random
import time

import pytest

from eventstream.events.strict_json import JsonError, canonical, decode, encode


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -1, 2**53, 2**64, -(2**64), 10**300, 1.5, 1e300, "", "a\0b\u2028", "😀", [], {},
        {"": {"": [[]]}},
        {"a": [1, 2.5, "x", None, {"b": False}]},
    ],
)  # fmt: skip
def test_what_is_written_is_read_back(value):
    assert decode(encode(value)) == value
    assert decode(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "Expecting value at line 1 column 1"),
        (b"{\n 'a': 1}", "line 2 column 2"),
        (b'{"a": 1, "b": {"a": 1, "a": 2}}', "duplicate key 'a'"),
        (b'{"a": 1, "\\u0061": 2}', "duplicate key 'a'"),
        (b'{"a":1,"a" : 2}', "duplicate key 'a'"),
        (b'{"a":1,"a":"\\u003a"}', "duplicate key 'a'"),
        (b'{"a":1,"a":"\\u003A"}', "duplicate key 'a'"),
        (b'[{"a":":"},{"a":":","a":1}]', "duplicate key 'a'"),
        (b'{"a:":1,"b":{"\\\\":1,"\\u005c":2}}', "duplicate key"),
        (b"NaN", "NaN is not JSON"),
        (b"[Infinity]", "Infinity is not JSON"),
        (b"-Infinity", "-Infinity is not JSON"),
        (b"1e309", "1e309 is out of range"),
        (b"-1e309", "out of range"),
        (b"1" + b"0" * 309, "out of range"),
        (b"-1" + b"0" * 1_000_000, "out of range"),
        (b'["' + b"x" * 500 + b'",' + b"9" * 309 + b"]", "out of range"),
        (b"01", "Extra data"),
        (b"+1", "Expecting value"),
        (b"1.", "Extra data"),
        (b".5", "Expecting value"),
        (b'"\xc3"', "invalid UTF-8 at byte 1"),
        (b'"\xc0\x80"', "invalid UTF-8 at byte 1"),
        (b'"\xed\xa0\x80"', "invalid UTF-8 at byte 1"),
        (b'"\xf4\x90\x80\x80"', "invalid UTF-8 at byte 1"),
        (b"\xef\xbb\xbf1", "Expecting value"),
        (b'"\\ud800"', "lone surrogate"),
        (b'"\\udc00\\ud800"', "lone surrogate"),
        (b'{"\\uDBFF": 1}', "lone surrogate"),
        (b'[["\\ud800"]]', "lone surrogate"),
        (b'"a\nb"', "Invalid control character"),
        (b'"\\x41"', "Invalid \\escape"),
        (b'"abc', "Unterminated string"),
        (b"{1: 2}", "Expecting property name"),
        (b"[1] [2]", "Extra data"),
        (b"\x0c1", "Expecting value"),
    ],
)
def test_what_a_lenient_reader_would_guess_at_is_refused_and_says_where(text, words):
    with pytest.raises(JsonError) as caught:
        decode(text)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 200


def test_surrogate_pairs_are_characters():
    assert decode(b'"\\ud83d\\ude00"') == "😀"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_is_bounded_exactly(opening, closing):
    assert decode(opening * 64 + b"1" + closing * 64)
    with pytest.raises(JsonError, match="nested deeper than 64 levels at character"):
        decode(opening * 65 + b"1" + closing * 65)
    assert decode(opening * 65 + b"1" + closing * 65, max_depth=65)


def test_brackets_in_strings_and_beside_each_other_are_no_depth():
    assert decode(b'["' + b"[{" * 1000 + b'\\"[", {}]')
    assert len(decode(b"[" + b"[],{}," * 1000 + b"[]]")) == 2001


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": "' + b'\\"' * 400_000 + b"[" * 70,
        b'"' + b"\\" * 900_000 + b"[" * 70,
        b"[" * 900_000,
        b'"[' * 300_000,
        b"]" * 900_000 + b"[" * 70,
        b"1" * 900_000,
        b"[" + b'{"a":1},' * 100_000,
        b'"\\ud83d\\ude00' * 60_000,
    ],
)
def test_no_text_of_a_mebibyte_takes_long(text):
    began = time.process_time()
    with pytest.raises(JsonError):
        decode(text)
    assert time.process_time() - began < 2.0


def test_equal_values_have_equal_canonical_bytes():
    assert canonical({"b": 1, "a": {"d": [1.5], "c": None}}) == canonical({"a": {"c": None, "d": [1.5]}, "b": 1})
    assert canonical([1, 2]) != canonical([2, 1])
    assert canonical("1") != canonical(1)


PIECES = [
    *'{}[]:,"\\ \n-0.éa', '"a":', '"a" :', '"a":1,"a":2', '"\\u0061":1', "\\u003a", '\\"', '":', '"k\\\\":1',
    '{"a":":"}', "1e309", "9" * 308, "9" * 309, "1" + "0" * 308, '{"b":[[{}]]}', "null", "NaN", "\ufeff", "\ud800",
    "\\ud800", "\\ud83d\\ude00",
]  # fmt: skip


def strict(text):
    """Say what a reader that looks at every token makes of a text."""

    def pairs(found):
        if len(dict(found)) != len(found):
            raise ValueError("twice")
        return dict(found)

    def number(digits):
        if abs(float(digits)) == float("inf"):
            raise ValueError("beyond a double")
        return int(digits) if digits.lstrip("-").isdigit() else float(digits)

    def constant(name):
        raise ValueError(name)

    value = json.loads(text, object_pairs_hook=pairs, parse_int=number, parse_float=number, parse_constant=constant)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def test_any_text_is_read_as_a_reader_of_every_token_reads_it():
    chance = random.Random(20)
    read = 0
    for _ in range(20_000):
        text = json.dumps(
            {"a": [1.5, {"b": "c:", "": None}], "d": {"\\": True}}, separators=(",", chance.choice([":", " : "]))
        )
        for _ in range(chance.randrange(3)):
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice(PIECES) + text[at + chance.randrange(3) :]
        body = text.encode("utf-8", "surrogatepass")
        try:
            expected = strict(body.decode())
        except ValueError:
            with pytest.raises(JsonError):
                decode(body)
        else:
            assert repr(decode(body)) == repr(expected), text
            read += 1
    assert read > 5_000


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_depth_is_bounded_beside_many_brackets(depth):
    inner = "[" * (depth - 1) + "]" * (depth - 1)
    text = "[" + ",".join([inner or "1"] * 100) + "]"
    assert len(decode(text.encode(), max_depth=depth)) == 100
    deeper = text[:-1] + "," + "[" * depth + "]" * depth + "]"
    with pytest.raises(JsonError, match=f"nested deeper than {depth} levels at character"):
        decode(deeper.encode(), max_depth=depth)
