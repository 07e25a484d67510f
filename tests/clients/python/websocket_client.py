"""PyPI `websockets`: python websocket_client.py SUBPROTOCOL URL TYPE. Prints {"cursor", "event"} for each event."""

import asyncio
import json
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

PAUSE = 0.2


def got(cursor, event):
    sys.stdout.write(json.dumps({"cursor": cursor, "event": event}) + "\n")
    sys.stdout.flush()


async def follow(protocol, base, kind):
    """Connect again behind the last cursor whenever the connection is cut."""
    last = None
    while True:
        url = base
        if protocol == "cloudevents.json":
            url += f"?type={kind}" + (f"&after={last}" if last else "")
        try:
            async with connect(url, subprotocols=[protocol]) as socket:
                if protocol == "eventstream.v1":
                    subscribe = {"op": "subscribe", "id": "a", "type": kind, "after": last or "latest"}
                    await socket.send(json.dumps(subscribe))
                async for text in socket:
                    message = json.loads(text)
                    last = message.get("cursor", last)
                    if protocol == "eventstream.v1" and message["op"] == "event":
                        got(last, message["event"])
                    elif protocol == "cloudevents.json" and message["source"] != "/eventstream":
                        got(last, message)
        except (ConnectionClosed, OSError) as error:
            sys.stderr.write(f"cut: {error}\n")
        await asyncio.sleep(PAUSE)


if __name__ == "__main__":
    asyncio.run(follow(*sys.argv[1:]))
