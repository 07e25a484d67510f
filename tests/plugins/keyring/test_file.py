import base64
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from keyring_folder import KEY, MASTER, PATH, closed, edit, opened, prepare

from eventstream import ConfigError, Keys, StoreBusy
from eventstream.testing.deadline import wait_until
from eventstream.testing.keyring_contract import PUBLIC, SEED, make_key
from eventstream_plugins.keyring import disk, document
from eventstream_plugins.keyring.master import write_master
from eventstream_plugins.points import public_of

SECRET = KEY.private.decode()
OTHER = make_key("till-1", owner="till")
READER = public_of("curve25519", b"r" * 32)


def refusal(folder, **options):
    """Return why a keyring does not open."""
    with pytest.raises(ConfigError) as caught:
        opened(folder, **options).close()
    return str(caught.value)


def checked(folder, **options):
    return [str(problem) for problem in closed(**options).check(str(folder), Keys())]


@pytest.fixture
def path(tmp_path):
    return prepare(tmp_path, [KEY, OTHER, make_key("pair-1", kind="ed25519", public=PUBLIC, private=SEED)])


def resigned(value):
    """Give an altered file a digest that fits: what somebody who knows the format can do."""
    body = {name: value[name] for name in ("version", "id", "revision", "check", "keys")}
    text = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    value["digest"] = base64.b64encode(hashlib.sha256(text).digest()).decode()


def test_the_file_shows_who_has_what_and_no_secret(path):
    text = path.read_text()
    assert [(one["kid"], one["owner"], one["state"]) for one in json.loads(text)["keys"]] == [
        ("shop-1", "shop", "active"),
        ("till-1", "till", "active"),
        ("pair-1", "shop", "active"),
    ]
    for secret in (SECRET, base64.b64encode(KEY.private).decode(), base64.b64encode(SEED).decode(), SEED.hex()):
        assert secret not in text
    assert [oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()] == ["0o600"] * 3
    assert path.parent.stat().st_mode & 0o777 == 0o700


# What is refused, and what its reader is told to do.


@pytest.mark.parametrize("length", [0, 1, 10, 100, 400, -1, -3])
def test_half_written(tmp_path, path, length):
    path.write_bytes(path.read_bytes()[:length])
    if length == -1:  # only the last line's end is gone
        opened(tmp_path).close()
        return
    for told in (refusal(tmp_path), *checked(tmp_path)):
        assert "damaged, half-written" in told
        assert "restore it from a backup" in told
    with pytest.raises(ConfigError, match="damaged"):
        closed().public_keys(str(tmp_path))


@pytest.mark.parametrize(
    "data", [b"[]", b"{}", b"\xff\xfe", b"null", b'{"version": 1}', b'{"version": true}', b"x" * 99]
)
def test_something_else(tmp_path, path, data):
    path.write_bytes(data)
    assert "damaged, half-written" in refusal(tmp_path)


def test_a_newer_version(tmp_path, path):
    edit(path, lambda value: value.update(version=2, novelty=1))
    told = refusal(tmp_path)
    assert "the keyring has version 2, this server knows 1" in told
    assert "a newer one" in told


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value["keys"][0].update(state="revoked"),
        lambda value: value["keys"][0].update(expires=None, owner="thief"),
        lambda value: value["keys"].pop(),
        lambda value: value["keys"].reverse(),
        lambda value: value.update(revision=99),
        lambda value: value["keys"][0].pop("private"),
        lambda value: value["keys"][0].update(surprise=1),
        lambda value: value["keys"][0].update(state="excellent"),
        lambda value: value["keys"][0].update(created="yesterday"),
        lambda value: value.pop("mac"),
        lambda value: value.pop("digest"),
    ],
)
def test_edited_by_hand(tmp_path, path, change):
    edit(path, change)
    assert "edited by hand" in refusal(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda keys: keys[0].update(state="revoked"),
        lambda keys: keys[0].update(expires=2e9),
        lambda keys: keys[0].update(owner="thief"),
        lambda keys: keys[0].update(purpose="sign"),
        lambda keys: keys[0].update(private=keys[1]["private"]),
        lambda keys: keys.pop(),
        lambda keys: keys.append(dict(keys[0], kid="more")),
    ],
)
def test_altered_by_somebody_who_knows_the_format(tmp_path, path, change):
    edit(path, lambda value: (change(value["keys"]), resigned(value)))
    for told in (refusal(tmp_path), *checked(tmp_path)):
        assert "altered by somebody without the master key" in told
    assert SECRET not in told


def test_private_halves_cannot_be_swapped_even_with_the_mac_key(tmp_path, path):
    whole = document.parse(path.read_bytes(), path)
    safe = whole.unlock(base64.b64decode((tmp_path / MASTER).read_text()))
    first, second, pair = whole.body.keys
    for entry in (
        msgspec.structs.replace(first, private=second.private),
        msgspec.structs.replace(first, kid="other"),
        msgspec.structs.replace(first, owner="thief"),
        msgspec.structs.replace(first, kind="secret"),
        msgspec.structs.replace(first, purpose="sign"),
        msgspec.structs.replace(first, created=first.created + 1),
        msgspec.structs.replace(pair, public=base64.b64encode(bytes(32)).decode()),
        msgspec.structs.replace(first, private="AAAA"),
    ):
        path.write_bytes(document.render(document.next_body(whole.body, [second, entry]), safe))
        told = refusal(tmp_path)
        assert f"key {entry.kid} is damaged: does not open" in told
        assert "[/keys/1]" in told


def test_any_flipped_bit_is_noticed(tmp_path, path):
    data = bytearray(path.read_bytes())
    before = closed().public_keys(str(tmp_path))
    chance = random.Random(7)
    unnoticed = 0
    for place in chance.sample(range(len(data)), 150):
        bit = 1 << chance.randrange(8)
        data[place] ^= bit
        path.write_bytes(data)
        try:
            opened(tmp_path).close()
        except ConfigError:
            pass
        else:  # one kind of white space became another
            unnoticed += 1
            assert closed().public_keys(str(tmp_path)) == before
        data[place] ^= bit
    assert unnoticed < 10


def test_another_master_key_is_told_apart_from_damage(tmp_path, path):
    (tmp_path / MASTER).unlink()
    write_master(tmp_path / MASTER)
    for told in (refusal(tmp_path), *checked(tmp_path)):
        assert "sealed under another master key" in told
        assert "use the master key that it was made with" in told
    assert [key.kid for key in closed().public_keys(str(tmp_path))] == ["pair-1", "till-1", "shop-1"]


def test_a_lost_master_key(tmp_path, path):
    (tmp_path / MASTER).unlink()
    assert "the master key file does not exist" in refusal(tmp_path)
    (warning,) = closed().check(str(tmp_path), Keys())
    assert (warning.severity, warning.pointer) == ("warning", "/master_file")
    assert len(closed().public_keys(str(tmp_path))) == 3


@pytest.mark.parametrize("text", ["", "\n", "short", "A" * 43, "-" * 44, base64.b64encode(b"x" * 31).decode(), "\xff"])
def test_what_is_no_master_key(tmp_path, path, text):
    (tmp_path / MASTER).write_text(text, "latin-1")
    told = refusal(tmp_path)
    assert "this is no master key" in told
    assert "eventstream keys master" in told
    assert not text.strip() or text not in told


def test_a_master_key_given_as_text(tmp_path, path):
    text = (tmp_path / MASTER).read_text().strip()
    (tmp_path / MASTER).unlink()
    ring = opened(tmp_path, master_file=None, master=text)
    assert ring.keys()[0].private == SEED
    assert text not in repr(ring.config)
    ring.close()
    told = refusal(tmp_path, master_file=None, master=text[:-8])
    assert "this is no master key" in told
    assert text[:-8] not in told


def test_only_one_master_is_configured():
    for options in ({"master": "x"}, {"master_file": None}, {"cache": 0}):
        with pytest.raises(msgspec.ValidationError):
            closed(**options)


@pytest.mark.parametrize("name", [PATH, MASTER])
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o604, 0o660])
def test_files_that_others_may_open(tmp_path, path, name, mode):
    (tmp_path / name).chmod(mode)
    for told in (refusal(tmp_path), *checked(tmp_path)):
        assert f"(mode {mode:04o})" in told
        assert f"chmod 600 {tmp_path / name}" in told


def test_a_pipe_or_folder_in_its_place_holds_nobody_up(tmp_path, path):
    path.unlink()
    os.mkfifo(path, 0o600)
    assert "no regular file" in refusal(tmp_path)
    path.unlink()
    path.mkdir()
    assert "cannot read" in refusal(tmp_path) or "no regular file" in refusal(tmp_path)


def test_an_absent_keyring_is_created_and_said_only_with_a_master(tmp_path, caplog):
    assert "the master key file does not exist" in refusal(tmp_path)
    assert not (tmp_path / PATH).exists()
    write_master(tmp_path / MASTER)
    opened(tmp_path).close()
    assert "did not exist: an empty one is created" in caplog.text
    assert (tmp_path / PATH).exists()


def test_a_master_key_is_never_written_over(tmp_path):
    write_master(tmp_path / MASTER)
    before = (tmp_path / MASTER).read_text()
    with pytest.raises(ConfigError, match="never written over"):
        write_master(tmp_path / MASTER)
    assert (tmp_path / MASTER).read_text() == before


def test_of_a_link_the_target_is_replaced(tmp_path, path):
    (tmp_path / "elsewhere").mkdir()
    path.rename(tmp_path / "elsewhere" / "ring")
    path.symlink_to(tmp_path / "elsewhere" / "ring")
    ring = opened(tmp_path)
    ring.change("shop-1", state="revoked")
    ring.close()
    assert path.is_symlink()
    assert '"revoked"' in (tmp_path / "elsewhere" / "ring").read_text()


# While it is open.


class Follower:
    """A keyring whose watcher is a call, on a clock of the test's."""

    def __init__(self, folder, **options):
        self.ring = opened(folder, **options)
        self.ring.close()  # its thread; the rest works on
        self.now = self.ring.monotonic()
        self.ring.monotonic = lambda: self.now

    def look(self, seconds=2.0):
        self.now += seconds
        self.ring._follow()
        return {key.kid: key for key in self.ring.keys()}  # noqa: SIM118  # no mapping


@pytest.fixture
def follower(tmp_path, path):
    return Follower(tmp_path, cache="1h")


def test_a_file_that_breaks_is_endured_and_said_once(follower, path, caplog):
    whole = path.read_bytes()
    before = follower.look()
    for broken in (whole[:100], b"", whole.replace(b'"shop"', b'"thief"')):
        path.write_bytes(broken)
        assert follower.look() == follower.look() == before
    assert caplog.text.count("cannot be read, known keys stay") == 3  # once for each reason
    path.unlink()
    assert follower.look() == before
    path.write_bytes(whole)
    path.chmod(0o600)
    assert follower.look() == before
    assert "can be read again" in caplog.text
    assert SECRET not in caplog.text


def test_private_halves_end_with_the_cache_when_they_cannot_be_read_anew(follower, path, caplog):
    whole, revision = path.read_bytes(), follower.ring.revision
    path.chmod(0o644)
    assert follower.look(3500)["shop-1"].private
    late = follower.look(200)
    assert {key.private for key in late.values()} == {b""}
    assert late["pair-1"].public == PUBLIC
    assert follower.ring.revision == revision + 1
    assert "private keys are given up: for 1h" in caplog.text
    assert {key.private for key in follower.look(10_000).values()} == {b""}
    path.write_bytes(whole)
    path.chmod(0o600)
    assert follower.look()["pair-1"].private == SEED
    assert follower.ring.revision == revision + 2


def test_stale_halves_are_read_anew_and_nothing_changes_by_it(follower):
    revision, loaded = follower.ring.revision, follower.ring._known.loaded
    assert follower.look(3601)["pair-1"].private == SEED
    assert follower.ring._known.loaded is not loaded
    assert follower.ring.revision == revision


def test_an_older_copy_does_not_undo_a_revocation(tmp_path, follower, path, caplog):
    older = path.read_bytes()
    follower.ring.change("shop-1", state="revoked")
    path.write_bytes(older)
    assert follower.look()["shop-1"].state == "revoked"
    assert "an older copy was put in its place" in caplog.text
    path.unlink()
    opened(tmp_path).close()  # another process makes an empty one
    assert follower.look()["shop-1"].state == "revoked"
    assert "another keyring was put in its place" in caplog.text


def test_an_older_copy_is_not_built_upon(tmp_path, follower, path, caplog):
    """A client that registers a key must not be the one who brings a revoked one back."""
    older = path.read_bytes()
    follower.ring.change("shop-1", state="revoked")
    newer = path.read_bytes()
    path.write_bytes(older)
    with pytest.raises(StoreBusy, match="an older copy was put in its place"):
        follower.ring.add(make_key("new"))
    assert path.read_bytes() == older
    assert follower.look()["shop-1"].state == "revoked"
    other = opened(tmp_path)  # a command, which knows nothing of it
    for number in range(3):
        other.add(make_key(f"more-{number}"))
    other.close()
    assert follower.look()["shop-1"].state == "revoked"
    path.write_bytes(newer)
    assert "can be read again" not in caplog.text
    follower.look()
    assert "can be read again" in caplog.text


@pytest.mark.parametrize("state", ["active", "revoked"])
def test_expired_readers_keys_go_when_another_comes_and_nothing_else_does(tmp_path, state):
    prepare(tmp_path)
    ring = opened(tmp_path)
    ring._services.clock = lambda: 1000.0
    kinds = {
        "reader": {"kind": "curve25519", "public": READER, "private": b"", "purpose": "seal", "state": state},
        "producer": {"kind": "ed25519", "public": PUBLIC, "private": b"", "purpose": "verify"},
        "ops": {"kind": "api-key", "public": bytes(32), "private": b"", "purpose": "api"},
        "ours": {"purpose": "seal"},
    }
    for kid, fields in kinds.items():
        ring.add(make_key(kid, owner=kid, expires=1100.0, **fields))
    ring._services.clock = lambda: 1159.0
    ring.add(make_key("early"))
    assert names(ring) == {*kinds, "early"}
    ring._services.clock = lambda: 1160.0
    ring.add(make_key("late"))
    assert names(ring) == {*kinds, "early", "late"} - ({"reader"} if state == "active" else set())
    ring.close()


def test_what_nobody_could_read_is_not_written(follower, path, monkeypatch):
    monkeypatch.setattr(disk, "MAX_FILE", path.stat().st_size + 100)
    with pytest.raises(ValueError, match="a keyring has at most"):
        follower.ring.add(make_key("new"))
    assert "shop-1" in follower.look()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path, follower, path):
    """Root gives the lock away: through a link that would be somebody else's file."""
    target, lock = tmp_path / "shadow", Path(f"{path}.lock")
    target.write_text("root's own")
    lock.unlink()
    lock.symlink_to(target)
    with pytest.raises(StoreBusy, match="cannot write keyring"):
        follower.ring.add(make_key("new"))
    lock.unlink()
    lock.symlink_to(tmp_path / "absent")
    with pytest.raises(StoreBusy, match="cannot write keyring"):
        follower.ring.add(make_key("new"))
    assert not (tmp_path / "absent").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_gives_no_lock_away_that_it_did_not_make(follower, path):
    lock = Path(f"{path}.lock")
    os.chown(path.parent, 65534, 65534)
    follower.ring.add(make_key("new"))
    assert lock.stat().st_uid == 0


def test_what_cannot_be_written_changes_nothing(follower, path):
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    with pytest.raises(StoreBusy, match="cannot be changed"):
        follower.ring.add(make_key("new"))
    path.write_bytes(whole)
    assert "new" not in follower.look()


def test_a_locked_keyring_is_not_waited_for_without_end(follower, path, monkeypatch):
    monkeypatch.setattr(disk, "LOCK_SECONDS", 0.05)
    with disk.alone(path), pytest.raises(StoreBusy, match="locked by another process"):
        follower.ring.add(make_key("new"))
    follower.ring.add(make_key("new"))


def test_what_a_killed_writer_left_is_removed(tmp_path, path):
    left = path.parent / f".{path.name}.0123abcd.new"
    left.write_text("half")
    ring = opened(tmp_path)
    ring.add(make_key("new"))
    ring.close()
    assert not left.exists()


def test_it_is_bounded(tmp_path, path, monkeypatch):
    monkeypatch.setattr("eventstream_plugins.keyring.file.MAX_KEYS", 3)
    ring = opened(tmp_path)
    with pytest.raises(ValueError, match="at most 3 keys"):
        ring.add(make_key("fourth"))
    ring.close()


def test_a_full_keyring_is_read_in_time(tmp_path, path):
    whole = document.parse(path.read_bytes(), path)
    safe = whole.unlock(base64.b64decode((tmp_path / MASTER).read_text()))
    entries = [document.make_entry(make_key(f"k-{n}"), safe) for n in range(document.MAX_KEYS)]
    path.write_bytes(document.render(document.next_body(whole.body, entries), safe))
    ring = opened(tmp_path)
    assert len(ring.keys()) == document.MAX_KEYS
    ring.close()


# With other processes.

ADD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from keyring_folder import opened, make_key
ring = opened(Path(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[4])):
    ring.add(make_key(f"{sys.argv[3]}-{number}"))
    print(number, flush=True)
ring.close()
"""


def adding(folder, name, count):
    words = [sys.executable, "-c", ADD, str(Path(__file__).parents[2]), str(folder), name, str(count)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def go(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def names(ring):
    keys = ring.keys()
    return {key.kid for key in keys}


def test_processes_that_add_at_once_lose_nothing(tmp_path, path):
    processes = [adding(tmp_path, name, 10) for name in ("one", "two", "three")]
    for process in processes:
        go(process)
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    ring = opened(tmp_path)
    assert names(ring) == {f"{name}-{n}" for name in ("one", "two", "three") for n in range(10)} | {
        "shop-1", "till-1", "pair-1",
    }  # fmt: skip
    ring.close()


def test_killed_while_it_writes_it_leaves_the_last_whole_file(tmp_path, path):
    chance = random.Random(3)
    for round_ in range(6):
        process = adding(tmp_path, f"round{round_}", 1000)
        go(process)
        done = [process.stdout.readline() for _ in range(chance.randrange(1, 12))]
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate(timeout=30)
        acknowledged = len(done) + len(rest.splitlines())
        ring = opened(tmp_path)
        kept = {kid for kid in names(ring) if kid.startswith(f"round{round_}-")}
        ring.close()
        # what was acknowledged is there, and at most the one that was being written
        assert {f"round{round_}-{n}" for n in range(acknowledged)} <= kept
        assert len(kept) <= acknowledged + 1
    assert len([one for one in path.parent.iterdir() if one.name.endswith(".new")]) <= 1


def test_another_process_sees_a_revocation_within_a_second(tmp_path, path):
    ring = opened(tmp_path)
    process = adding(tmp_path, "other", 1)
    go(process)
    process.communicate(timeout=30)
    wait_until(lambda: "other-0" in names(ring), 1.0)
    ring.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_writes_stays_readable_to_the_servers_user(tmp_path):
    (tmp_path / "keys").mkdir(mode=0o700)
    os.chown(tmp_path / "keys", 65534, 65534)
    path = prepare(tmp_path)
    opened(tmp_path).close()
    ring = opened(tmp_path)
    ring.add(KEY)
    ring.close()
    assert {(file.name, file.stat().st_uid, file.stat().st_gid) for file in path.parent.iterdir()} == {
        (name, 65534, 65534) for name in ("keyring.json", "keyring.json.lock", "master.key")
    }
