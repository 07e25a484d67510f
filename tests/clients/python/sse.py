"""One SSE client: python sse.py CLIENT URL. Prints a line {"cursor", "data"} for each event it hands out."""

import asyncio
import json
import sys
import time
from contextlib import closing

import aiohttp
import httpx
import requests
import requests_sse
import sseclient
from aiohttp_sse_client2.client import EventSource as AiohttpEventSource
from aiosseclient import aiosseclient
from httpx_sse import connect_sse

PAUSE = 0.3  # where the library leaves reconnecting to its user


def got(cursor, data):
    sys.stdout.write(json.dumps({"cursor": cursor, "data": data}) + "\n")
    sys.stdout.flush()


def is_whole(data):
    """Tell a block that ended from one that was cut: sseclient-py hands out both."""
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def with_httpx_sse(url, last):
    headers = {"Last-Event-ID": last} if last else {}
    with httpx.Client(timeout=30) as client, connect_sse(client, "GET", url, headers=headers) as source:
        for event in source.iter_sse():
            yield event.event, event.id, event.data


def with_sseclient_py(url, last):
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
    with requests.get(url, headers=headers, stream=True, timeout=30) as answer:
        for event in sseclient.SSEClient(answer).events():
            if is_whole(event.data):
                yield event.event, event.id, event.data


def by_hand(connect, url):
    """Reconnect for ever, each time behind the last id."""
    last = None
    while True:
        try:
            for name, cursor, data in connect(url, last):
                last = cursor
                if name == "message":
                    got(cursor, data)
        except (httpx.HTTPError, requests.RequestException, OSError) as error:
            sys.stderr.write(f"cut: {error}\n")
        time.sleep(PAUSE)


def with_requests_sse(url):
    """It reconnects by itself, after twice the time that `retry` asks for."""
    with closing(requests_sse.EventSource(url, timeout=60)) as source:
        source.connect()
        for event in source:
            if event.type == "message":
                got(event.last_event_id, event.data)


async def with_aiohttp_sse_client2(url):
    """It reconnects by itself after a clean end, not after a reset."""
    last = None
    while True:
        try:
            async with AiohttpEventSource(url, headers={"Last-Event-ID": last} if last else {}) as source:
                async for event in source:
                    last = event.last_event_id
                    if event.type is None:
                        got(last, event.data)
        except (aiohttp.ClientError, OSError) as error:
            sys.stderr.write(f"cut: {error}\n")
        await asyncio.sleep(PAUSE)


async def with_aiosseclient(url):
    last = None
    while True:
        try:
            async for event in aiosseclient(url, last_id=last):
                last = event.id
                if event.event == "message":
                    got(last, event.data)
        except (aiohttp.ClientError, OSError) as error:
            sys.stderr.write(f"cut: {error}\n")
        await asyncio.sleep(PAUSE)


CLIENTS = {
    "httpx-sse": lambda url: by_hand(with_httpx_sse, url),
    "sseclient-py": lambda url: by_hand(with_sseclient_py, url),
    "requests-sse": with_requests_sse,
    "aiohttp-sse-client2": lambda url: asyncio.run(with_aiohttp_sse_client2(url)),
    "aiosseclient": lambda url: asyncio.run(with_aiosseclient(url)),
}

if __name__ == "__main__":
    CLIENTS[sys.argv[1]](sys.argv[2])
