import pytest

from eventstream.config.loader import MAX_NODES, MAX_TEXT, Place, parse, pointer, read_text
from eventstream.errors import ConfigError


def faults(text):
    return [(one.line, one.column, one.message) for one in parse(text, "p.yaml").problems]


def refusal(text):
    with pytest.raises(ConfigError) as caught:
        parse(text, "p.yaml")
    (problem,) = caught.value.problems
    return problem


def test_every_value_and_key_has_its_place():
    document = parse("a: 1\nb:\n  - x\n  - {c: y}\n", "p.yaml")
    assert document.value == {"a": 1, "b": ["x", {"c": "y"}]}
    assert document.places[("b", 1, "c")] == (4, 9)
    assert document.keys[("b", 1, "c")] == (4, 6)
    assert document.place(("b",), key=True) == Place(2, 1)


def test_an_unknown_place_falls_back_to_what_holds_it():
    document = parse("a: {b: 1}\n", "p.yaml")
    assert document.place(("a", "zz", 3)) == Place(1, 1)
    assert document.place(()) == Place(1, 1)


@pytest.mark.parametrize(
    "word", ["yes", "no", "on", "off", "y", "n", "Yes", "2026-01-31", "1_000", "12:30:45", "0b1", ".inf"]
)
def test_what_yaml_1_1_would_guess_at_stays_text(word):
    assert parse(f"a: {word}\n", "p.yaml").value == {"a": word}


@pytest.mark.parametrize(
    ("word", "value"),
    [("true", True), ("False", False), ("~", None), ("", None), ("null", None), ("017", 17), ("0o17", 15),
     ("0x1F", 31), ("-4", -4), ("1.5", 1.5), ("1e3", 1000.0), ("'1'", "1"), ("!!str 1", "1")],
)  # fmt: skip
def test_core_scalars(word, value):
    assert parse(f"a: {word}\n", "p.yaml").value == {"a": value}


def test_duplicate_keys_are_faults_with_both_lines():
    document = parse("a: 1\nb: 2\na: 3\n", "p.yaml")
    (problem,) = document.problems
    assert (problem.line, problem.message, problem.hint) == (3, "duplicate key a", "it stands first in line 1")


@pytest.mark.parametrize("text", ["1: x", "true: x", "~: x", "[a]: x", "{a: b}: x", "? [x]\n: x"])
def test_keys_are_text(text):
    assert faults(f"{text}\n")[0][2] == "keys are text"


def test_on_as_a_key_stays_text():
    assert parse("on: off\n", "p.yaml").value == {"on": "off"}


def test_merge_keys_and_tags_are_refused():
    assert faults("a: &x {b: 1}\nc:\n  <<: *x\n") == [(3, 3, "merge keys are not supported")]
    assert "is not supported" in faults("a: !!python/object:os.system x\n")[0][2]
    assert "is not supported" in faults("a: !secret x\n")[0][2]
    assert "is not supported" in faults("a: !!timestamp 2026-01-31\n")[0][2]


@pytest.mark.parametrize("word", ["!!int abc", "!!bool maybe", "!!null x", "1e999", "9" * 5000])
def test_what_cannot_be_kept_is_a_fault(word):
    assert "that can be kept" in faults(f"a: {word}\n")[0][2]


def test_interpolation_in_a_key_is_refused():
    assert faults("${env:A}: 1\n") == [(1, 1, "interpolation works in values only, never in keys")]


def test_aliases_repeat_a_value():
    assert parse("a: &x [1]\nb: *x\n", "p.yaml").value == {"a": [1], "b": [1]}


def test_an_alias_bomb_is_cut():
    levels = "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 12))
    (only,) = faults(f"l0: &l0 [x]\n{levels}")
    assert only[2] == f"more than {MAX_NODES} values, aliases expanded"


def test_an_alias_to_itself_is_a_fault():
    assert faults("a: &a [*a]\n")[0][2] == "an alias contains itself"


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "- " * 5000])
def test_deep_nesting_is_refused(text):
    assert "nested deeper than 64" in refusal(text).message


@pytest.mark.parametrize(
    ("text", "line", "column", "hint"),
    [
        ("a: [1\nb: 2\n", 2, 2, ""),
        ("a:\n\t- b\n", 2, 1, "indent with spaces"),
        ("a: {b: ${env:X}}\n", 1, 9, 'between { } or [ ] an interpolation stands in quotes: "${env:NAME}"'),
        ("a: 1\n---\nb: 2\n", 2, 1, ""),
        ("a: *nobody\n", 1, 4, ""),
    ],
)
def test_syntax_errors_have_a_place(text, line, column, hint):
    problem = refusal(text)
    assert (problem.line, problem.column, problem.hint) == (line, column, hint)
    assert problem.message.startswith("not YAML: ")


def test_control_characters_have_a_place():
    problem = refusal("a: 1\nb: \x00\n")
    assert (problem.line, problem.column, problem.message) == (2, 4, "character U+0000 is not allowed")


def test_a_text_without_end_is_refused():
    assert "longer than" in refusal("#" * (MAX_TEXT + 1)).message


def test_an_empty_file_holds_nothing():
    assert parse("", "p.yaml").value is None
    assert parse("# only words\n", "p.yaml").value is None


def test_pointers_escape():
    assert pointer(("a/b", "c~d", 0)) == "/a~1b/c~0d/0"


def test_unreadable_files_are_located(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_text(str(tmp_path / "none.yaml"))
    (tmp_path / "bad.yaml").write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigError) as caught:
        read_text(str(tmp_path / "bad.yaml"))
    assert caught.value.problems[0].line == 2
