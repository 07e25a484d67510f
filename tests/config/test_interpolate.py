import pytest

from eventstream.config.interpolate import MAX_FILE, Interpolation
from eventstream.config.loader import parse


@pytest.fixture
def run(tmp_path):
    def interpolate(text, **environ):
        document = parse(text, "p.yaml")
        interpolation = Interpolation(document, str(tmp_path), environ)
        return interpolation.run(), interpolation, [(one.line, one.column, one.message) for one in document.problems]

    return interpolate


def value(run, text, **environ):
    values, _, problems = run(f"a: {text}\n", **environ)
    assert problems == []
    return values["a"]


def test_variables_and_defaults(run):
    assert value(run, "${env:X}", X="1") == "1"
    assert value(run, "${env:HOST:-127.0.0.1}:${env:PORT:-3000}", PORT="80") == "127.0.0.1:80"
    assert value(run, "'${env:X:-}'") == ""


def test_a_default_also_stands_in_for_an_empty_variable(run):
    assert value(run, "${env:X:-d}", X="") == "d"
    assert value(run, "${env:X}", X="") == ""


def test_what_comes_in_is_never_parsed_again(run, tmp_path):
    assert value(run, "${env:X}", X="${env:Y}", Y="no") == "${env:Y}"
    assert value(run, "${env:X}", X="true") == "true"
    assert value(run, "${env:X}", X="x\nadmin: true\n# y") == "x\nadmin: true\n# y"


def test_files_lose_one_line_end(run, tmp_path):
    (tmp_path / "key").write_text("abc\n")
    (tmp_path / "dos").write_bytes(b"abc\r\n")
    assert value(run, "x-${file:key}") == "x-abc"
    assert value(run, "${file:dos}") == "abc"


def test_a_plain_dollar_brace_can_be_written(run):
    values, interpolation, problems = run("a: $${env:X}\n")
    assert (values, problems, interpolation.sources) == ({"a": "${env:X}"}, [], {})


def test_comments_and_keys_are_left_alone(run):
    values, _, problems = run("# ${env:NOPE}\na: 1\n")
    assert (values, problems) == ({"a": 1}, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${env:NOPE}", "environment variable NOPE is not set"),
        ("${NOPE}", "${NOPE} is no interpolation"),
        ("${env:1x}", "${env:1x} is no interpolation"),
        ("${env:X", "${env:X has no closing brace"),
        ("${file:none}", "cannot read file none: No such file or directory"),
        ("${file:.}", "cannot read file .: Is a directory"),
        ("${file:big}", f"file big is longer than {MAX_FILE} bytes"),
        ("${file:binary}", "file binary is not UTF-8 text"),
    ],
)
def test_what_cannot_be_replaced_is_a_located_problem(run, tmp_path, text, message):
    (tmp_path / "big").write_bytes(b"x" * (MAX_FILE + 1))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    _, interpolation, problems = run(f"b: 1\na: {text}\n")
    assert problems == [(2, 4, message)]
    assert interpolation.broken == {("a",)}


def test_two_faults_in_one_value_are_both_told(run):
    _, _, problems = run("a: ${env:X}${env:Y}\n")
    assert [message for _, _, message in problems] == [
        "environment variable X is not set",
        "environment variable Y is not set",
    ]


def test_sources_tell_what_came_from_outside(run):
    _, interpolation, _ = run("a: ['${env:X}', '${env:Y:-d}', z]\n", X="secret")
    outside = {path: source.outside for path, source in interpolation.sources.items()}
    assert outside == {("a", 0): True, ("a", 1): False}
