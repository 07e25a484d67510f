import importlib.metadata
import json

import httpx
import jsonschema
import pytest

CONTENT = {
    "plain": ("application/json", {"type": "seen"}),
    "structured": (
        "application/cloudevents+json",
        {"specversion": "1.0", "id": "1", "source": "/s", "type": "seen", "ext": 5, "subject": None, "data": {"a": 1}},
    ),
    "batch": (
        "application/cloudevents-batch+json",
        [{"specversion": "1.0", "id": "2", "source": "/s", "type": "seen", "data_base64": "YWFh"}],
    ),
}


@pytest.fixture(scope="module")
def client(shared_server):
    with httpx.Client(base_url=shared_server.url, timeout=10) as client:
        yield client


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


def resolve(document, part):
    """Follow a `$ref` of the document."""
    while "$ref" in part:
        found = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def judge(document, schema, value):
    """Validate a value by a schema of the document."""
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def answer_of(document, path, method, reply):
    """Return the documented answer that fits a reply, its body judged."""
    operation = document["paths"][path][method]
    answer = resolve(
        document, operation["responses"].get(str(reply.status_code), operation["responses"].get("default"))
    )
    kind = reply.headers.get("content-type", "").partition(";")[0]
    schema = answer.get("content", {}).get(kind, {}).get("schema")
    if schema is not None and kind.endswith("json"):
        judge(document, schema, reply.json())
    return answer


def test_the_document_is_openapi_3_1(document):
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(document)
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == importlib.metadata.version("eventstream")


def test_every_route_is_in_it_and_no_other(document, client):
    assert set(document["paths"]) == {
        "/", "/events", "/events/ws", "/openapi.json", "/-/health", "/-/ready", "/-/metrics",
    }  # fmt: skip
    for path, operations in document["paths"].items():
        allow = client.options(path).headers["allow"].lower().split(", ")
        assert set(operations) <= set(allow)
        assert set(allow) - set(operations) <= {"head", "options"}


def test_outputs_share_the_path_they_stand_on(document):
    content = document["paths"]["/events"]["get"]["responses"]["200"]["content"]
    assert set(content) == {"application/json", "text/event-stream"}
    assert "EventSource" in document["paths"]["/events"]["get"]["description"]
    assert "101" in document["paths"]["/events/ws"]["get"]["responses"]


@pytest.mark.parametrize("path", ["/", "/events", "/openapi.json", "/-/health", "/-/ready", "/-/metrics"])
def test_real_replies_to_get_are_as_documented(document, client, path):
    reply = client.get(path)
    assert reply.status_code == 200
    answer = answer_of(document, path, "get", reply)
    assert reply.headers["content-type"].partition(";")[0] in answer["content"]


def test_a_gap_is_as_documented(document, client):
    reply = client.get("/events?after=zz-1")
    assert "gap" in reply.json()
    answer_of(document, "/events", "get", reply)


@pytest.mark.parametrize("name", CONTENT)
def test_real_receipts_are_as_documented(document, client, name):
    kind, body = CONTENT[name]
    judge(document, document["paths"]["/events"]["post"]["requestBody"]["content"][kind]["schema"], body)
    for statuses in ({201}, {200, 201}):
        reply = client.post("/events", content=json.dumps(body), headers={"Content-Type": kind})
        assert reply.status_code in statuses
        answer_of(document, "/events", "post", reply)


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "application/json"}, "{", 400),
        ({"Content-Type": "application/json"}, '{"type": 1, "b": []}', 400),
        ({"Content-Type": "text/plain"}, "x", 415),
        ({"Content-Type": "application/json", "Host": "evil.example"}, "{}", 421),
        ({"Content-Type": "application/json"}, " " * (2**20 + 1), 413),
        ({"Content-Type": "application/cloudevents+json"}, json.dumps(CONTENT["structured"][1] | {"data": 2}), 409),
    ],
)
def test_real_refusals_are_as_documented(document, client, headers, body, status):
    reply = client.post("/events", content=body, headers=headers)
    assert reply.status_code == status
    assert str(status) in document["paths"]["/events"]["post"]["responses"]
    answer_of(document, "/events", "post", reply)


@pytest.mark.parametrize(
    "fault",
    [
        {"id": ""}, {"id": 1}, {"source": "a b"}, {"source": "/%zz"}, {"type": "eventstream.x"}, {"type": "a\nb"},
        {"subject": ""}, {"subject": "\x7f"}, {"time": "now"}, {"dataschema": "a"}, {"datacontenttype": "a"},
        {"specversion": "2"}, {"cursor": "a"}, {"Ext": 1}, {"e-x": 1}, {"ext": {}}, {"ext": 1.5}, {"ext": 2**31},
        {"data": 1, "data_base64": "YQ=="}, {"data_base64": "%"}, {"data_base64": 5},
    ],
)  # fmt: skip
def test_the_schema_refuses_what_the_server_refuses(document, client, fault):
    event = {"specversion": "1.0", "id": "x", "source": "/x", "type": "x", **fault}
    reply = client.post("/events", content=json.dumps(event), headers={"Content-Type": CONTENT["structured"][0]})
    assert reply.status_code == 400
    with pytest.raises(jsonschema.ValidationError):
        judge(document, {"$ref": "#/components/schemas/Event"}, event)


@pytest.mark.parametrize(
    "text",
    [
        '{"exact": {"type": "a"}}', '{"prefix": {"source": "/a", "subject": "b"}}',
        '{"not": {"suffix": {"type": "a"}}}',
        '{"all": [{"exact": {"type": "a"}}]}', '{"any": [{"exact": {"ext": "a"}}, {"prefix": {"id": "a"}}]}',
    ],
)  # fmt: skip
def test_documented_filters_are_taken(document, client, text):
    judge(document, {"$ref": "#/components/schemas/Filter"}, json.loads(text))
    assert client.get("/events", params={"filter": text}).status_code == 200


def test_health_is_left_out_where_it_is_private(serve, document):
    config = """
version: 1
server: {metrics: {public: false}}
store:
  sqlite: {path: events.db}
pipelines:
  - name: default
    steps: [persist]
outputs:
  - sse: {path: /stream}
"""
    server = serve(config, workers=1)
    found = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    assert set(found) == {"/", "/events", "/stream", "/openapi.json"}
    assert set(found["/events"]["get"]["responses"]["200"]["content"]) == {"application/json"}
    assert httpx.get(f"{server.url}/-/health").status_code == 403
