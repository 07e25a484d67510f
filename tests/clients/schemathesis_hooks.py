"""What the OpenAPI document cannot say to schemathesis."""

import itertools
import json

import schemathesis

_ids = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    """Give an octet-stream its attributes, or it would be no event: binary mode is a body with `ce-` headers."""
    if case.media_type == "application/octet-stream":
        case.headers.update(
            {"ce-specversion": "1.0", "ce-id": str(next(_ids)), "ce-source": "/binary", "ce-type": "fuzzed"}
        )


@schemathesis.hook
def map_body(context, body):
    """Write 1.0 as 1: JSON Schema calls both integers, CloudEvents only the second."""
    if isinstance(body, list):
        return [map_body(context, item) for item in body]
    if isinstance(body, dict):
        return {name: _whole(value) if name != "data" else value for name, value in body.items()}
    return body


def _whole(value):
    return int(value) if isinstance(value, float) and value.is_integer() else value


@schemathesis.check
def crypto_refusals(ctx, response, case):
    """In place of `negative_data_rejection`, since a bad request in an array is refused in its place, under 200."""
    if case.operation.path != "/crypto" or response.status_code != 200 or not case.meta.generation.mode.is_negative:
        return
    results = json.loads(response.content).get("results", [])
    assert any("problem" in result for result in results), "taken, although the schema refuses it"
