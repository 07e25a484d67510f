"""The CloudEvents SDKs for Python and JavaScript publish in their modes."""

import json
from datetime import UTC, datetime

import httpx
import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

ATTRIBUTES = {
    "specversion": "1.0",
    "type": "sdk.said",
    "source": "/sdk/python",
    "subject": "é €uro %",
    "time": datetime(2026, 3, 4, 5, 6, 7, 89000, tzinfo=UTC),
    "datacontenttype": "application/json",
    "partition": "7",
}


def stored(server, cursor):
    """The event at a place, as the history shows it."""
    epoch, _, offset = cursor.rpartition("-")
    (event,) = httpx.get(f"{server.url}/events?after={epoch}-{int(offset) - 1}&limit=1").json()["events"]
    return event


def same(event, expected):
    """Compare two events in JSON; their times by value."""
    times = [datetime.fromisoformat(one["time"]) for one in (event, expected)]
    return times[0] == times[1] and event | {"time": 0} == expected | {"time": 0}


@pytest.mark.parametrize(("mode", "write"), [("binary", to_binary_event), ("structured", to_structured_event)])
def test_python(shared_server, mode, write):
    event = CloudEvent({**ATTRIBUTES, "id": f"{mode}-1"}, {"mode": mode, "text": "é\u2028"})
    message = write(event)
    answer = httpx.post(f"{shared_server.url}/events", headers=message.headers, content=message.body)
    assert answer.status_code == 201, answer.text
    assert same(stored(shared_server, answer.json()["cursor"]), json.loads(JSONFormat().write(event)))


def test_python_batch_by_hand(shared_server):
    events = [CloudEvent({**ATTRIBUTES, "id": f"batch-{n}"}, {"n": n}) for n in range(3)]
    written = [JSONFormat().write(event) for event in events]
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    answer = httpx.post(f"{shared_server.url}/events", headers=headers, content=b"[" + b",".join(written) + b"]")
    assert answer.status_code == 201, answer.text
    for receipt, event in zip(answer.json()["receipts"], written, strict=True):
        assert same(stored(shared_server, receipt["cursor"]), json.loads(event))


@pytest.fixture(scope="module")
def said(shared_server, run_client):
    client = run_client("producer.mjs", f"{shared_server.url}/events")
    return {line["mode"]: line for line in client.wait(lambda lines: len(lines) == 3 and lines, "the SDK to publish")}


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_javascript(shared_server, said, mode):
    (sent,) = said[mode]["sent"]
    assert same(stored(shared_server, said[mode]["answer"]["cursor"]), sent)


def test_javascript_batch_by_hand(shared_server, said):
    for receipt, sent in zip(said["batch"]["answer"]["receipts"], said["batch"]["sent"], strict=True):
        assert same(stored(shared_server, receipt["cursor"]), sent)
