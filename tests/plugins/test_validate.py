import json
import time

import pytest

from eventstream import UNSET, ConfigError, Event, Reject
from eventstream.testing.step_runner import installed

ORDER = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "sku": {"type": "string", "pattern": "^[a-z]+$"},
        "mail": {"format": "email"},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True},
        "price": {"multipleOf": 0.01},
        "a/b~c": {"type": "null"},
    },
    "required": ["id"],
    "additionalProperties": False,
}


@pytest.fixture
def files(tmp_path):
    """Write JSON files into the configuration's folder."""

    def write(**schemas):
        for name, schema in schemas.items():
            path = tmp_path / (name.replace("__", "/") + ".json")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(schema if isinstance(schema, str) else json.dumps(schema), encoding="utf-8")

    return write


@pytest.fixture
def judge(run_steps, files):
    """Return the faults of data under a schema, as (pointer, detail)."""

    def judge(schema, data, **others):
        files(schema=schema, **others)
        event = data if isinstance(data, Event) else Event(id="1", source="/s", type="t", data=data)
        (outcome,) = run_steps([{"validate": {"schema": "schema.json"}}], [event])
        if isinstance(outcome, Event):
            assert outcome == event
            return []
        assert (outcome.status, outcome.reason) == (422, "schema")
        assert 1 <= len(outcome.faults) <= 20
        return [(fault.pointer, fault.detail) for fault in outcome.faults]

    return judge


def problems(run_steps, **options):
    with pytest.raises(ConfigError) as caught:
        run_steps.build({"validate": options})
    return caught.value.problems


def test_what_fits_passes(judge):
    assert judge(ORDER, {"id": 7, "sku": "abc", "mail": "a@b.example", "tags": ["a"], "price": 19.99}) == []


@pytest.mark.parametrize(
    ("data", "faults"),
    [
        ({}, [("/data/id", "is required")]),
        ({"id": 0}, [("/data/id", "must be at least 1")]),
        ({"id": "7"}, [("/data/id", "must be of type integer")]),
        ({"id": 1, "sku": "A"}, [("/data/sku", "must match ^[a-z]+$")]),
        ({"id": 1, "mail": "nobody"}, [("/data/mail", "must be a valid email")]),
        ({"id": 1, "tags": ["a", "c"]}, [("/data/tags/1", 'must be one of ["a", "b"]')]),
        ({"id": 1, "tags": ["a", "a"]}, [("/data/tags", "must not hold equal items")]),
        ({"id": 1, "price": 0.001}, [("/data/price", "must be a multiple of 0.01")]),
        ({"id": 1, "x": 1, "y": 2}, [("/data/x", "is not allowed here"), ("/data/y", "is not allowed here")]),
        ({"id": 1, "a/b~c": 1}, [("/data/a~1b~0c", "must be of type null")]),
        ([], [("/data", "must be of type object")]),
        (None, [("/data", "must be of type object")]),
    ],
)
def test_refusals_point_at_what_is_wrong(judge, data, faults):
    assert judge(ORDER, data) == faults


@pytest.mark.parametrize("place", ["schema", "reached"])
def test_a_named_dialect_is_explained_alike(judge, place):
    named = {"$schema": "https://json-schema.org/draft/2020-12/schema", **ORDER}
    schemas = {"schema": named} if place == "schema" else {"schema": {"$ref": "reached.json"}, "reached": named}
    assert judge(data={"sku": "A"}, **schemas) == [("/data/sku", "must match ^[a-z]+$"), ("/data/id", "is required")]


def test_at_most_twenty_faults(judge):
    assert len(judge({"items": {"type": "string"}}, list(range(1000)))) == 20


def test_faults_never_hold_the_datas_values(judge):
    secret = "hunter2-" * 3
    schema = {
        "properties": {"a": {"type": "integer"}, "b": {"anyOf": [{"type": "null"}]}, "c": {"not": {}}, "d": False},
        "patternProperties": {"^e": {"maxLength": 1}},
        "propertyNames": {"maxLength": 9},
    }
    for data in ({"a": secret, "b": secret, "c": secret, "d": secret, "e": secret}, {"pad": "x" * 70_000, "a": secret}):
        faults = judge(schema, data)
        assert faults
        assert not [fault for fault in faults if secret in fault[1]]


def test_missing_data_is_judged_as_null(judge):
    event = Event(id="1", source="/s", type="t", data=UNSET)
    assert judge({"type": ["null", "object"]}, event) == []
    assert judge({"type": "object"}, event) == [("/data", "is required")]


def test_binary_data_fits_no_schema(judge):
    assert judge(True, Event(id="1", source="/s", type="t", data=b"x"))[0][0] == "/data_base64"


def test_schemas_by_type(run_steps, files):
    files(schemas__order=ORDER, **{"schemas__note.schema": {"type": "string"}})
    event = Event(id="1", source="/s", type="order", data={})
    with pytest.raises(Reject):
        run_steps(["validate"], event)
    for other in ("unknown", "note", "order.json", "../order", "note.schema"):
        assert run_steps(["validate"], event.replace(type=other)).type == other


def test_unknown_types_are_counted_or_refused(run_steps, files):
    files(schemas__order=ORDER)
    step = run_steps.build("validate")
    step.process_batch([Event(id="1", source="/s", type="other")] * 3, run_steps.context)
    assert run_steps.services.counts == {"unknown_type": 3}
    with pytest.raises(Reject) as caught:
        run_steps([{"validate": {"unknown": "reject"}}], Event(id="1", source="/s", type="other"))
    assert [fault.pointer for fault in caught.value.faults] == ["/type"]


@pytest.mark.parametrize(
    ("draft", "schema", "good", "bad"),
    [
        ("https://json-schema.org/draft/2020-12/schema", {"prefixItems": [{"type": "null"}]}, [None], [1]),
        ("https://json-schema.org/draft/2019-09/schema", {"items": [{"type": "null"}]}, [None], [1]),
        ("http://json-schema.org/draft-07/schema#", {"if": {"type": "string"}, "then": {"const": "x"}}, "x", "y"),
        ("http://json-schema.org/draft-06/schema", {"exclusiveMinimum": 1}, 2, 1),
        ("http://json-schema.org/draft-04/schema#", {"minimum": 1, "exclusiveMinimum": True}, 2, 1),
    ],
)
def test_dialects(judge, draft, schema, good, bad):
    assert judge({"$schema": draft, **schema}, good) == []
    assert judge({"$schema": draft, **schema}, bad)


def test_references_within_the_folder(judge):
    address = {"$id": "https://example.com/address.json", "properties": {"zip": {"pattern": "^[0-9]+$"}}}
    schema = {
        "properties": {
            "by_name": {"$ref": "address.json"},
            "by_id": {"$ref": "https://example.com/address.json"},
            "inside": {"$ref": "#/$defs/word"},
            "deeper": {"$ref": "sub/word.json"},
            "odd": {"$ref": "#/elsewhere/word"},
        },
        "$defs": {"word": {"type": "string"}},
        "elsewhere": {"word": {"pattern": "^w"}},
    }
    others = {"address": address, "sub__word": {"$ref": "../word.json"}, "word": {"const": "w"}}
    good = {"by_name": {"zip": "1"}, "by_id": {"zip": "1"}, "inside": "x", "deeper": "w", "odd": "w"}
    assert judge(schema, good, **others) == []
    bad = {"by_name": {"zip": "x"}, "by_id": {"zip": "x"}, "inside": 1, "deeper": 1, "odd": "x"}
    pointers = [pointer for pointer, _ in judge(schema, bad, **others)]
    assert pointers == ["/data/by_name/zip", "/data/by_id/zip", "/data/inside", "/data/deeper", "/data/odd"]


def test_a_recursive_schema(judge):
    schema = {"properties": {"next": {"$ref": "#"}, "value": {"type": "integer"}}, "additionalProperties": False}
    assert judge(schema, {"next": {"next": {"value": 1}}}) == []
    assert judge(schema, {"next": {"next": {"value": "x"}}}) == [("/data/next/next/value", "must be of type integer")]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("{", "is not JSON"),
        ('{"type": "object", "type": "array"}', "twice"),
        ("[" * 100_000, "is not JSON"),
        ({"type": "thing"}, "no valid schema at /type"),
        ({"properties": {"a": {"minLength": -1}}}, "/properties/a/minLength"),
        ([], "no valid schema"),
        ({"$schema": "https://example.com/mine"}, "not supported"),
        ({"$schema": 7}, "not supported"),
        ({"$schema": "http://json-schema.org/draft-03/schema#"}, "not supported"),
        ({"$ref": "http://127.0.0.1:9/schema.json"}, "nothing is fetched"),
        ({"$ref": "https://json-schema.org/nothing"}, "nothing is fetched"),
        ({"$ref": "file:///etc/hostname"}, "cannot be read"),
        ({"$ref": "../outside.json"}, "cannot be read"),
        ({"$ref": "/etc/passwd"}, "cannot be read"),
        ({"$ref": "missing.json"}, "cannot be read"),
        ({"$ref": "#/$defs/missing"}, "points at nothing"),
        ({"$ref": "#anchor"}, "points at nothing"),
        ({"$ref": "other.json"}, "another dialect"),
        ({"properties": {"a": {"pattern": "(?=x)"}}}, "does not compile"),
        ({"patternProperties": {"(a)\\1": {}}}, "does not compile"),
        ({"$defs": {"unused": {"pattern": "(("}}}, "does not compile"),
        ({"$ref": "#/odd", "odd": {"pattern": "(("}}, "does not compile"),
        ({"pattern": "(a{1000}){1000}"}, "does not compile"),
        ({"$ref": "broken.json"}, "is not JSON"),
        ({"$ref": "invalid.json"}, "no valid schema"),
    ],
)
def test_bad_schemas_are_named_when_loaded(run_steps, files, schema, words):
    files(
        folder__schema=schema,
        folder__other={"$schema": "http://json-schema.org/draft-07/schema#"},
        folder__broken="{",
        folder__invalid={"type": 5},
        outside={},
    )
    (problem,) = problems(run_steps, schema="folder/schema.json")
    assert "schema.json" in problem.message
    assert words in problem.message
    assert problem.pointer == "/schema"


def test_a_reference_cannot_leave_the_folder(run_steps, files):
    files(folder__schema={"$ref": "%2e%2e/outside.json"}, outside={})
    (problem,) = problems(run_steps, schema="folder/schema.json")
    assert "outside the schema's own folder" in problem.message


def test_every_bad_file_of_a_folder_is_reported(run_steps, files):
    files(schemas__a={"type": "x"}, schemas__b={"pattern": "(("}, schemas__c={})
    found = problems(run_steps)
    assert [problem.pointer for problem in found] == ["/schemas", "/schemas"]


def test_missing_files_and_folders(run_steps):
    assert "cannot be read" in problems(run_steps, schema="none.json")[0].message
    assert "there is no folder" in problems(run_steps, unknown="reject")[0].message
    (warning,) = run_steps.build("validate").check(run_steps.services.folder, {})
    assert warning.severity == "warning"


def test_an_unknown_format_is_a_warning(run_steps, files):
    files(schema={"format": "phone"})
    step = run_steps.build({"validate": {"schema": "schema.json"}})
    (warning,) = step.check(run_steps.services.folder, {})
    assert warning.severity == "warning"
    assert "'phone'" in warning.message


def test_a_schema_without_end_is_still_judged(judge):
    assert judge({"$ref": "#"}, 1) == []
    assert judge({"allOf": [{"$ref": "#"}, {"type": "string"}]}, 1)


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        ({"pattern": "^(a+)+$"}, "a" * 60_000 + "!"),
        ({"properties": {"x": {"format": "uri"}}}, {"x": "a:" + "%" * 60_000}),
        ({"format": "regex"}, "(" * 60_000),
        ({"format": "idn-hostname"}, "xn--" + "a" * 60_000),
        ({"format": "iri"}, "a:" + "\u00fc[" * 15_000),
        ({"uniqueItems": True}, [{"n": n} for n in range(5_000)] + [{"n": 0}]),
        ({"uniqueItems": True}, [n * (2**61 - 1) for n in range(3_000)] + [0]),
        ({"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False}, {"a" * 60_000 + "!": 1}),
        ({"items": {"type": "integer"}, "unevaluatedItems": False, "contains": False}, [1] * 30_000),
        ({"additionalProperties": {"type": "string"}, "minProperties": 10**6}, {str(n): "" for n in range(5_000)}),
    ],
)
def test_a_refusal_takes_no_more_than_linear_time(judge, schema, data):
    started = time.perf_counter()
    assert judge(schema, data)
    assert time.perf_counter() - started < 2  # quadratic or worse would be minutes


def test_numbers_beyond_64_bits(judge):
    assert judge({"type": "integer", "minimum": 10**30}, 10**30) == []
    assert judge({"maximum": 10**30}, 10**30 + 1) == [("/data", f"must be at most {10**30}")]


def test_unevaluated_properties_are_explained(judge):
    schema = {"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False}
    assert judge(schema, {"a": 1, "b": 2}) == [("/data/b", "is not allowed here")]


def test_options_exclude_each_other():
    with pytest.raises(ValueError, match="schema: "):
        installed().get("step", "validate").component.create({"schema": "a.json", "unknown": "reject"})


def test_accepting_unknown_types_is_a_warning():
    validate = installed().get("step", "validate").component
    assert "unknown" in validate.create().lint([])
    assert validate.create({"unknown": "reject"}).lint([]) is None
    assert validate.create({"schema": "a.json"}).lint([]) is None
