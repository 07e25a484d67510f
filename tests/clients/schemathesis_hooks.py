"""What the OpenAPI document cannot say to schemathesis."""

import itertools

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
