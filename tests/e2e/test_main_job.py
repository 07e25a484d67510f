"""The main job from outside: an event in, out to every subscriber."""

import json

import httpx
from httpx_sse import connect_sse

from eventstream.testing.process import ServerProcess


def test_an_event_reaches_a_subscriber_of_each_worker(shared_server: ServerProcess):
    with httpx.Client(base_url=shared_server.url, timeout=10) as client:
        streams = [connect_sse(client, "GET", "/events") for _ in range(6)]
        sources = [stream.__enter__() for stream in streams]
        iterators = [source.iter_sse() for source in sources]
        for iterator in iterators:
            assert next(iterator).event == "cursor"
        receipt = client.post("/events", json={"type": "shop.order.created", "data": {"order": 7}})
        assert receipt.status_code == 201
        for iterator in iterators:
            frame = next(iterator)
            while frame.event == "cursor":
                frame = next(iterator)
            assert frame.id == receipt.json()["cursor"]
            assert json.loads(frame.data)["data"] == {"order": 7}
        for stream in streams:
            stream.__exit__(None, None, None)


def test_a_stream_resumes_behind_its_last_event_id(shared_server: ServerProcess):
    with httpx.Client(base_url=shared_server.url, timeout=10) as client:
        cursors = [client.post("/events", json={"type": "resume", "data": i}).json()["cursor"] for i in range(5)]
        with connect_sse(client, "GET", "/events?type=resume", headers={"Last-Event-ID": cursors[1]}) as source:
            frames = source.iter_sse()
            assert next(frames).id == cursors[1]
            assert [next(frames).id for _ in range(3)] == cursors[2:]
