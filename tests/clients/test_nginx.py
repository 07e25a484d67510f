"""Through nginx with nothing but `proxy_pass`: heads and events arrive at once."""

import subprocess
import time

import httpx
import pytest
from httpx_sse import connect_sse

from eventstream.testing.process import wait_for

CONFIG = """
worker_processes 1;
daemon off;
pid nginx.pid;
error_log error.log;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {
    listen 127.0.0.1:%d;
    location / { proxy_pass http://127.0.0.1:%d; }
  }
}
"""
AT_ONCE = 3.0  # seconds; buffered, they would not come at all before the read times out


@pytest.fixture(scope="module")
def nginx(shared_server, free_port, tmp_path_factory):
    """The address of an nginx before the server."""
    folder = tmp_path_factory.mktemp("nginx")
    port = free_port()
    (folder / "nginx.conf").write_text(CONFIG % (port, shared_server.port))
    process = subprocess.Popen(["/usr/sbin/nginx", "-p", f"{folder}/", "-c", "nginx.conf", "-e", "error.log"])
    url = f"http://127.0.0.1:{port}"

    def answers():
        try:
            return httpx.get(f"{url}/-/health").status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_for(answers, "nginx to answer")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def test_head_and_events_arrive_at_once(nginx):
    with httpx.Client(base_url=nginx, timeout=5) as client:
        began = time.monotonic()
        with connect_sse(client, "GET", "/events?type=through.nginx") as source:
            frames = source.iter_sse()
            assert next(frames).event == "cursor"
            assert time.monotonic() - began < AT_ONCE
            for n in range(20):
                began = time.monotonic()
                answer = client.post("/events", json={"type": "through.nginx", "data": n})
                assert answer.status_code == 201, answer.text
                frame = next(frame for frame in frames if frame.event == "message")
                assert time.monotonic() - began < AT_ONCE
                assert frame.id == answer.json()["cursor"]


def test_a_stream_without_events_is_not_cut(nginx):
    with httpx.Client(base_url=nginx, timeout=5) as client, connect_sse(client, "GET", "/events?type=never") as source:
        lines = source.response.iter_lines()
        comments = (line for line in lines if line.startswith(":"))
        assert [next(comments) for _ in range(3)] == [":"] * 3  # heartbeats come through


def test_refusals_keep_their_status_and_body(nginx):
    answer = httpx.post(f"{nginx}/events", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == 400
