import pytest

from eventstream.errors import ConfigError

FRAME = """\
version: 1
store: {{disk: {{path: x}}}}
pipelines:
  - name: a
    steps:
      - {step}
      - persist
outputs: [sse]
"""


@pytest.fixture
def faults(load):
    """Return `column message` for a wrong step, which always stands in line 6."""

    def run(step, **environ):
        with pytest.raises(ConfigError) as caught:
            load(FRAME.format(step=step), environ)
        assert {one.line for one in caught.value.problems} == {6}
        return [f"{one.column} {one.message}" for one in caught.value.problems]

    return run


def test_every_fault_of_one_component_is_told(faults):
    assert faults("limit: {burst: x, by: kye, bursts: 1, deep: yes}") == [
        "9 field rate is missing",
        "24 burst: expected a whole number or nothing, got text",
        "31 by: invalid enum value 'kye'",
        "36 unknown field bursts",
        "53 deep: expected true or false, got text",
    ]


def test_values_of_components_are_placed(faults):
    assert faults("limit: {rate: 100/d}") == ["23 rate: '100/d' is not a rate such as 100/s, 30/m or 1000/h"]
    assert faults("limit: {rate: 1/s, burst: 0}") == ["35 burst: expected a whole number >= 1"]
    assert faults("limit: {rate: 1/s, burst: 13}") == ["35 burst: 13 is never right"]
    assert faults("limit: [1]") == ["16 limit: expected a mapping, got a list"]


def test_negative_quantities_are_refused(faults):
    assert "negative" in faults("limit: {rate: -1}")[0]


def test_mappings_are_judged_key_by_key(faults):
    assert faults("rename: {a: 1, B: x, c: {rate: 1/s, by: x}}") == [
        "21 a: expected text or a mapping, got a whole number",
        "24 B: expected text matching regex '^[a-z]+$'",
        "49 by: invalid enum value 'x'",
    ]
    assert faults("rename: {}") == ["17 rename: expected a mapping of length >= 1"]
    assert faults("rename") == ["9 steps: expected a mapping of length >= 1"]


def test_interpolated_text_is_read_as_the_number_that_is_wanted(load):
    text = FRAME.format(step='limit: {rate: "${env:R}", burst: "${env:B}", deep: "${env:D}", window: "${env:W}"}')
    settings = load(text, {"R": "5/m", "B": "7", "D": "true", "W": "15"})
    config = settings.pipelines[0].steps[0].step.config
    assert (config.rate, config.burst, config.deep, config.window) == (5 / 60, 7, True, 15)


def test_quoted_numbers_of_the_file_stay_text(faults):
    assert faults('limit: {rate: 1/s, burst: "7"}') == ["35 burst: expected a whole number or nothing, got text"]


def test_values_from_outside_are_never_shown(faults):
    step = 'limit: {rate: "${env:R}", by: "${env:B}"}'
    assert faults(step, R="hush/hush", B="x") == [
        "23 rate: '${env:R}' is not a rate such as 100/s, 30/m or 1000/h",
        "39 by: invalid enum value '${env:B}'",
    ]
    assert faults('limit: {rate: "${env:R:-slow}"}') == ["23 rate: 'slow' is not a rate such as 100/s, 30/m or 1000/h"]


def test_hints_name_right_values(load):
    with pytest.raises(ConfigError) as caught:
        load(FRAME.format(step="limit: {by: cleint, brst: 1}"))
    assert [one.hint for one in caught.value.problems] == [
        'for example rate: "100/s"',
        "did you mean client?",
        "did you mean burst?",
    ]
