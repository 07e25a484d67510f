"""The same store in the loop of our worker: greenlets wait, the loop never does."""

import subprocess
import sys

SCRIPT = """
from gevent import monkey
monkey.patch_all()
import sys, time
import gevent
from eventstream import Receipt
from eventstream.testing.other_process import make_entry
from eventstream.testing.services import PlainServices
from eventstream.testing.store_fixtures import read_all
from eventstream_plugins.sqlite import Sqlite

class Services(PlainServices):
    def offload(self, call):
        return gevent.get_hub().threadpool.apply(call)
    def pause(self):
        gevent.sleep(0)

def open_store():
    store = Sqlite.create({"path": "events.db"})
    store.open(Services(sys.argv[1]))
    return store

def until(condition):
    with gevent.Timeout(20):
        while not condition():
            gevent.sleep(0.002)

one, other = open_store(), open_store()
heads, payloads, facts = [], [], []
one.watch(lambda head: None, lambda payload: None)
other.watch(heads.append, payloads.append)

# Group commit among greenlets, some of them killed at every stage: nobody is stranded.
receipts = []
def publish(name):
    for number in range(20):
        receipts.extend(one.append([make_entry(f"{name}-{number}")]))
publishers = [gevent.spawn(publish, name) for name in range(60)]
for victim in publishers[::3]:
    gevent.sleep(0.001)
    victim.kill(block=False)
gevent.joinall(publishers, timeout=30)
assert all(publisher.dead and publisher.exception is None for publisher in publishers)
offsets = {receipt.cursor.offset for receipt in receipts}
stored = {record.offset for record in read_all(one)}
assert offsets <= stored and len(stored) == one.head()
assert one.stats()["commits"] < len(stored) / 2, "appends did not share commits"
until(lambda: heads and heads[-1] == one.head())

# A burst to another handle is heard as a whole, and each receiver takes what is there without waiting for more.
assert sum(one.announce(b"%d" % number) for number in range(300)) == 0
until(lambda: len(payloads) == 300)
assert payloads == [b"%d" % number for number in range(300)]
one.announce(b"alone")
until(lambda: payloads[-1] == b"alone")

# The loop goes on while native calls are under way.
ticks = 0
def tick():
    global ticks
    while True:
        gevent.sleep(0.001)
        ticks += 1
ticker = gevent.spawn(tick)
one.backup(sys.argv[1] + "/copy.db")
one.append([make_entry(f"large-{n}", json=b'"' + b"x" * 100_000 + b'"') for n in range(200)])
assert ticks > 3, ticks
ticker.kill()

ledger = one.open_ledger()
ledger.watch(lambda key, value: facts.append(key))
other_ledger = other.open_ledger()
other_ledger.put("ticket", b"x", 60)
until(lambda: facts == ["ticket"])
assert sum(ledger.take("b", 1, rate=0.001, burst=5).taken for _ in range(9)) == 5
for part in (ledger, other_ledger, one, other):
    part.close()
print("fine")
"""


def test_in_a_gevent_loop(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("fine\n", "")
