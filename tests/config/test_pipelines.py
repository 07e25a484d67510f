import pytest

HEAD = "version: 1\nstore: {disk: {path: x}}\noutputs: [sse]\npipelines:\n"


def only(found):
    (problem,) = found
    return problem


@pytest.mark.parametrize(
    ("pipeline", "problem"),
    [
        ("text", "5:5 error a pipeline is a mapping"),
        ("{steps: [persist]}", "5:5 error a pipeline needs a name"),
        ("{name: 5, steps: [persist]}", "5:12 error a pipeline needs a name"),
        ("{name: a b, steps: [persist]}", "5:12 error 'a b' is no pipeline name"),
        ("{name: a}", "5:5 error a pipeline needs a list of steps"),
        ("{name: a, steps: []}", "5:22 error a pipeline needs a list of steps"),
        ("{name: a, steps: [persist], macth: {}}", "5:33 error unknown field macth"),
        ("{name: a, steps: [persist], match: x}", "5:40 error match: expected a mapping of attributes"),
        ("{name: a, steps: [persist], match: {Type: x}}", "5:41 error Type is no attribute name"),
        ("{name: a, steps: [persist], match: {data: x}}", "5:41 error data is no attribute name"),
        ("{name: a, steps: [persist], match: {type: 5}}", "5:47 error a pattern is text that is not empty"),
        ("{name: a, steps: [persist], match: {type: [a, '']}}", "5:51 error a pattern is text that is not empty"),
        ("{name: a, steps: [persist], match: {type: '*.x'}}", "5:47 error '*.x': only a trailing * is a wildcard"),
        ("{name: a, steps: [{}]}", "5:23 error a step is a name, or one name with its options"),
        ("{name: a, steps: [5]}", "5:23 error a step is a name, or one name with its options"),
        ("{name: a, steps: [{persist: {x: 1}}]}", "5:33 error persist takes no options"),
    ],
)
def test_what_is_wrong_with_a_pipeline(problems, pipeline, problem):
    assert only(problems(f"{HEAD}  - {pipeline}\n")).startswith(problem)


@pytest.mark.parametrize("value", ["[]", "{}", "text"])
def test_pipelines_are_a_list(problems, value):
    text = HEAD.replace("pipelines:", f"pipelines: {value}")
    assert only(problems(text)) == "4:12 error pipelines: expected a list of at least one pipeline"


def test_names_stand_once(problems):
    text = HEAD + "  - {name: a, match: {type: x}, steps: [persist]}\n  - {name: a, steps: [persist]}\n"
    assert only(problems(text)) == "6:12 error pipeline a stands already in line 5"


def test_match_takes_one_pattern_or_a_list(load):
    settings = load(HEAD + "  - {name: a, match: {type: [x, 'y.*'], tenant: t}, steps: [persist]}\n")
    match = settings.pipelines[0].match
    assert match.matches({"type": "y.z", "tenant": "t"})
    assert match.matches({"type": "x", "tenant": "t"})
    assert not match.matches({"type": "x", "tenant": "u"})


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("validate: {on_error: dead_letter}", "on_error: dead_letter comes later"),
        ("validate: {on_error: ignore}", "on_error: 'ignore' is neither reject nor drop"),
        ("limit: {rate: 1/s, on_error: drop}", "limit may only reject: dropping would hide a refusal from its sender"),
        ("persist: {on_error: drop}", "persist takes no on_error: a store in trouble always answers 503"),
    ],
)
def test_on_error_is_judged(problems, step, message):
    assert (
        only(problems(f"{HEAD}  - name: a\n    steps:\n      - {step}\n      - fan_out\n")).partition("error ")[2]
        == message
    )


def test_what_a_component_checks_itself_is_placed_at_its_option(problems, load, tmp_path):
    text = HEAD + "  - name: a\n    steps:\n      - validate: {schema: none.json}\n      - persist\n"
    assert only(problems(text)) == "7:28 error validate: none.json is missing"
    assert problems(text.replace("none.json", "odd")) == [
        "7:9 error validate: odd name",
        "7:28 error validate: odd is missing",
    ]
    (tmp_path / "none.json").touch()
    assert load(text).warnings == []
