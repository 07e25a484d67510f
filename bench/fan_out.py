"""Fan-out to many SSE subscribers, measured from outside: `python bench/fan_out.py --help`.

Compiles the load generator (`bench/load/fan.c`, needs a C compiler), starts a server of its own on loopback,
and prints one JSON object: deliveries a second, latencies from publish to receipt in microseconds, and the
server's CPU time per delivery. Generator and server share the machine: compare figures of one run only.
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

from eventstream.testing.process import ServerProcess

HERE = Path(__file__).parent
CONFIG = """
version: 1
store:
  sqlite: {path: data/events.db}
pipelines:
  - name: default
    steps: [persist, fan_out]
outputs:
  - sse: {path: /events, heartbeat: 60s}
"""
HEAD = "Host: 127.0.0.1\r\n"
SUBSCRIBE = f"GET /events HTTP/1.1\r\n{HEAD}Accept: text/event-stream\r\n\r\n"


def publish_request(size):
    """One event whose data carries the mark that the generator fills in, padded to `size` characters."""
    body = json.dumps({"type": "bench", "data": "@0000000000000000@".ljust(size, "x")})
    head = f"POST /events HTTP/1.1\r\n{HEAD}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head + body


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--events", type=int, default=500)
    parser.add_argument("--rate", type=int, default=0, help="events a second; 0: each as soon as the last is answered")
    parser.add_argument("--size", type=int, default=250, help="characters of an event's data")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pipelines.yaml").write_text(CONFIG)
        (folder / "subscribe").write_bytes(SUBSCRIBE.encode())
        (folder / "publish").write_bytes(publish_request(options.size).encode())
        compiler = ["cc", "-O2", "-pthread", "-o", str(folder / "fan"), str(HERE / "load" / "fan.c")]
        subprocess.run(compiler, check=True)
        with ServerProcess(folder / "pipelines.yaml", workers=1) as server:
            (worker,) = server.workers()
            before = cpu_seconds(worker)
            words = [
                folder / "fan", server.port, options.subscribers, folder / "subscribe",
                server.port, folder / "publish", options.events, options.rate, 1,
            ]  # fmt: skip
            done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, check=False, timeout=600)
            figures = json.loads(done.stdout)
            spent = cpu_seconds(worker) - before
    figures["server_cpu_us_per_delivery"] = round(spent / max(1, figures["deliveries"]) * 1e6, 2)
    print(json.dumps(figures, indent=2))
    return done.returncode


if __name__ == "__main__":
    raise SystemExit(main())
