import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from crypto_api import Api
from nacl.pwhash import argon2id

from eventstream import Reject
from eventstream.testing.process import wait_for

CHEAP = argon2id.str(b"x", 1, 8192).decode()  # $argon2id$v=19$m=8,t=1,p=1$…
COST = CHEAP.split("$")[3]


def test_a_hash_is_libsodiums_and_verifies(api):
    found = api.ask("password_hash", password="pässword")["hash"]
    assert found.startswith("$argon2id$v=19$m=65536,t=2,p=1$")
    assert argon2id.verify(found.encode(), "pässword".encode())
    assert api.ask("password_verify", password="pässword", hash=found) == {"valid": True}
    assert api.ask("password_verify", password="password", hash=found) == {"valid": False}
    assert api.ask("password_hash", password="pässword")["hash"] != found


def test_hashes_of_others_verify(api):
    other = argon2id.str(b"secret", 3, 32 * 2**20).decode()
    assert api.ask("password_verify", password="secret", hash=other) == {"valid": True}


@pytest.mark.parametrize(
    "cost",
    [
        "m=4194304,t=2,p=1", "m=65537,t=1,p=1", "m=65536,t=3,p=1", "m=8,t=4294967295,p=1", "m=9999999999,t=1,p=1",
        "m=16384,t=9,p=1", "m=1024,t=1,p=17", "m=1024,t=1,p=999",
    ],
)  # fmt: skip
def test_a_hash_that_costs_too_much_is_refused_before_any_work(api, cost):
    api.route._passwords.run = None  # whoever starts to work fails
    found = api.refused("password_verify", password="x", hash=CHEAP.replace(COST, cost))
    assert found == (422, "this hash costs more than the server allows: m=65536,t=2,p=16", "/hash")


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "$argon2i$v=19$m=8,t=1,p=1$" + CHEAP.split("$", 4)[4], CHEAP.replace("v=19", "v=16"),
        CHEAP.replace("m=8", "m=08"), CHEAP.replace("m=8", "m=-8"), CHEAP.replace("t=1", "t=0"), CHEAP + "\n",
        CHEAP.replace("m=8", "m=8" + "0" * 20), CHEAP.replace("p=1", "p=1,q=1"), CHEAP.rpartition("$")[0],
        "$7$C6..../....SodiumChloride$kBGj9fHznVYFQMEn/qDCfrDevf9YDtcDdKvEqHJLV8D",
    ],
)  # fmt: skip
def test_what_is_no_argon2id_hash_is_refused(api, text):
    status, _, pointer = api.refused("password_verify", password="x", hash=text)
    assert status in (400, 422)
    assert pointer == "/hash"


def test_cheaper_hashes_are_verified(api):
    assert api.ask("password_verify", password="x", hash=CHEAP) == {"valid": True}


def test_the_operators_level_is_used(make_api):
    api = make_api(passwords={"level": "moderate"})
    assert "$m=262144,t=3,p=1$" in api.ask("password_hash", password="x")["hash"]
    assert api.refused("password_verify", password="x", hash=CHEAP.replace(COST, "m=262144,t=4,p=1"))[0] == 422


def test_a_password_is_text_of_bounded_length(api):
    assert api.refused("password_hash", password="x" * 1025)[0] == 400
    assert api.refused("password_hash", password=5)[0] == 400
    assert api.refused("password_verify", password="x", hash="$argon2id$" + "x" * 200)[0] == 400


def test_few_work_at_once_some_wait_and_the_next_is_503(make_api):
    api: Api = make_api(passwords={"at_once": 1, "queue": 2})
    started, go_on, running = threading.Semaphore(0), threading.Event(), []
    outcomes, ask = [], api.route._hashers.ask

    def slowly(job):
        running.append(1)
        started.release()
        assert go_on.wait(10)
        answer = ask(job)
        running.pop()
        return answer

    api.route._hashers.ask = slowly
    threads = [
        threading.Thread(target=lambda: outcomes.append(api.ask("password_verify", password="x", hash=CHEAP)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    assert started.acquire(timeout=10)
    turns = api.route._passwords
    wait_for(lambda: turns._places._value == 0, "two to wait")
    assert len(running) == 1
    with pytest.raises(Reject) as caught:
        api.ask("password_verify", password="x", hash=CHEAP)
    assert caught.value.status == 503
    assert caught.value.headers == {"Retry-After": "1"}
    assert api.services.counts["crypto_busy"] == 1
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert outcomes == [{"valid": True}] * 3
    assert turns._places._value == 3
    assert api.ask("password_verify", password="x", hash=CHEAP) == {"valid": True}


# -- the processes that hash ----------------------------------------------------------------------


def pids(api):
    return [hasher.pid for hasher in api.route._hashers._all]


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_process_is_started_at_the_first_password_and_kept(api, monkeypatch):
    monkeypatch.setenv("EVENTSTREAM_MASTER_KEY", "planted")
    assert pids(api) == []
    api.ask("password_verify", password="x", hash=CHEAP)
    (pid,) = pids(api)
    api.ask("password_verify", password="\n\0", hash=CHEAP)
    assert pids(api) == [pid]
    assert os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpgid(pid) == pid
    assert {file.name for file in Path(f"/proc/{pid}/fd").iterdir()} == {"0", "1", "2"}
    assert b"x" not in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    assert b"planted" not in Path(f"/proc/{pid}/environ").read_bytes()
    api.route.close()
    assert gone(pid)


def test_a_process_that_the_system_ends_is_a_503_and_replaced(api):
    api.ask("password_verify", password="x", hash=CHEAP)
    (pid,) = pids(api)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Reject) as caught:
        api.ask("password_verify", password="x", hash=CHEAP)
    assert caught.value.status == 503
    assert api.ask("password_verify", password="x", hash=CHEAP) == {"valid": True}
    assert pids(api) != [pid]
    assert gone(pid)


def test_a_hash_that_is_under_way_when_the_route_closes_is_a_503(api):
    outcome = []

    def ask():
        with pytest.raises(Reject) as caught:
            api.ask("password_hash", password="x")
        outcome.append(caught.value.status)

    api.ask("password_verify", password="x", hash=CHEAP)
    hasher, sent = api.route._hashers._all[0], threading.Event()
    hasher._lines = Told(hasher._lines, sent)
    thread = threading.Thread(target=ask)
    thread.start()
    assert sent.wait(10)
    api.route.close()
    thread.join(10)
    assert outcome == [503]


class Told:
    """A socket's lines; tells when a job has been sent."""

    def __init__(self, lines, sent):
        self._lines, self._sent = lines, sent

    def flush(self):
        self._lines.flush()
        self._sent.set()

    def __getattr__(self, name):
        return getattr(self._lines, name)


def test_a_job_that_is_given_up_leaves_no_answer_to_the_next(api, monkeypatch):
    api.ask("password_verify", password="x", hash=CHEAP)
    (pid,) = pids(api)
    hasher = api.route._hashers._all[0]
    monkeypatch.setattr(hasher, "ask", give_up)
    with pytest.raises(KeyboardInterrupt):
        api.ask("password_verify", password="x", hash=CHEAP)
    assert gone(pid)
    assert pids(api) == []


def give_up(job):
    raise KeyboardInterrupt


def test_a_process_without_memory_says_so(api):
    api.ask("password_verify", password="x", hash=CHEAP)
    (pid,) = pids(api)
    resource.prlimit(pid, resource.RLIMIT_AS, (40 * 2**20, 40 * 2**20))
    with pytest.raises(Reject) as caught:
        api.ask("password_hash", password="x")
    assert (caught.value.status, caught.value.detail) == (503, "there is no memory for this hash; try again")
    assert api.ask("password_verify", password="x", hash=CHEAP) == {"valid": True}
    assert pids(api) == [pid]


def test_processes_end_with_their_worker():
    script = (
        "from eventstream_plugins.crypto.hashing import Hashers\n"
        "hashers = Hashers(); hashers.ask({'password': 'x', 'passes': 1, 'memory': 8192})\n"
        "print(hashers._all[0].pid, flush=True)\n"
        "import os; os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == -9
    wait_for(lambda: gone(int(done.stdout)) or zombie(int(done.stdout)), "the process to end")


def zombie(pid):
    return " Z " in Path(f"/proc/{pid}/stat").read_text()
