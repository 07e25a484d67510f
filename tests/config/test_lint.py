import pytest

HEAD = "version: 1\nstore: {disk: {path: x}}\noutputs: [sse]\npipelines:\n"


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ("[persist, validate, fan_out]", ["5:32 error validate stands after persist"]),
        ("[persist, fan_out, validate]", ["5:41 error validate stands after fan_out"]),
        ("[fan_out, validate]", ["5:32 error validate stands after fan_out"]),
        ("[persist, validate]", ["5:32 error validate stands after persist"]),
        ("[fan_out, persist]", ["5:32 error persist stands after fan_out"]),
        ("[persist, persist]", ["5:32 error persist stands twice in one pipeline"]),
        ("[encrypt, validate, persist]", ["5:32 error validate stands after encrypt, where it sees ciphertext"]),
    ],
)
def test_wrong_order_is_an_error(problems, steps, found):
    assert problems(f"{HEAD}  - {{name: a, steps: {steps}}}\n") == found


@pytest.mark.parametrize("steps", ["[persist, fan_out]", "[persist]", "[fan_out]", "[validate, encrypt, persist]"])
def test_right_order_is_silent(load, steps):
    assert load(f"{HEAD}  - {{name: a, steps: {steps}}}\n").warnings == []


def test_order_is_judged_although_a_step_is_broken(problems):
    assert problems(f"{HEAD}  - {{name: a, steps: [persist, limit, nope]}}\n") == [
        "5:32 error field rate is missing",
        "5:32 error limit stands after persist",
        "5:39 error unknown step nope",
    ]


def warnings(load, text):
    return [(one.line, one.message) for one in load(HEAD + text).warnings]


def test_a_step_warns_of_what_stands_before_it(load):
    text = "  - name: a\n    steps:\n      - limit: {rate: 1/s, by: key}\n      - verify\n      - persist\n"
    assert warnings(load, text) == [(7, "limit: put verify before it")]
    right = "  - name: a\n    steps:\n      - verify\n      - limit: {rate: 1/s, by: key}\n      - persist\n"
    assert warnings(load, right) == []


def test_a_pipeline_without_an_end_is_a_warning(load):
    text = "  - {name: a, steps: [validate]}\n"
    assert warnings(load, text) == [(5, "pipeline a neither stores nor delivers its events")]


def test_a_pipeline_that_nothing_reaches_is_a_warning(load):
    text = (
        "  - {name: a, match: {type: 'x.*'}, steps: [persist]}\n"
        "  - {name: b, match: {type: 'x.y'}, steps: [persist]}\n"
        "  - {name: c, steps: [persist]}\n"
        "  - {name: d, match: {source: s}, steps: [persist]}\n"
    )
    assert warnings(load, text) == [
        (6, "no event reaches pipeline b: a (line 5) takes them all"),
        (8, "no event reaches pipeline d: c (line 7) takes them all"),
    ]
