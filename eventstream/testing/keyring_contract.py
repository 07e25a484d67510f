"""What every keyring promises, as a suite: subclass KeyringContract and write `make_keyring`."""

# ruff: noqa: D102, S101  # a suite is made of asserts, and a test's name says what it shows

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eventstream import Key, Keyring, Keys, State
from eventstream.testing.deadline import Clock, wait_until
from eventstream.testing.services import PlainServices

SECONDS = 1.0  # within which another process's change is seen

# RFC 8032, section 7.1, test 1.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")


def make_key(kid: str = "shop-1", **fields: Any) -> Key:
    """Return a key of kind `hmac`; any field may be given another value."""
    made: dict[str, Any] = {
        "owner": "shop",
        "kind": "hmac",
        "private": b"planted-secret-" + kid.encode(),
        "created": 1_700_000_000.0,
    }
    return Key(kid, **made | fields)


def without_private(key: Key) -> Key:
    """Return a key as others may see it."""
    return replace(key, private=b"")


def kids(keyring: Keyring) -> list[str]:
    """Return the ids of its keys, in its order."""
    keys = keyring.keys()
    return [key.kid for key in keys]


class KeyringContract:
    """The promises of a keyring. Write `make_keyring`."""

    def make_keyring(self, folder: Path) -> Keyring:
        """Return a keyring, not yet open, that keeps its keys in `folder`; each call one more on the same keys."""
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def opened(self, tmp_path: Path, clock: Clock) -> Iterator[Callable[[], Keyring]]:
        """Give a function that opens a keyring; all of them are the same one."""
        keyrings: list[Keyring] = []

        def open_() -> Keyring:
            keyrings.append(self.make_keyring(tmp_path))
            keyrings[-1].open(PlainServices(tmp_path, clock))
            return keyrings[-1]

        yield open_
        for keyring in keyrings:
            keyring.close()

    @pytest.fixture
    def keyring(self, opened: Callable[[], Keyring]) -> Keyring:
        return opened()

    def test_a_new_one_is_empty_and_passes_check(self, keyring: Keyring, tmp_path: Path) -> None:
        assert keyring.keys() == ()
        assert list(self.make_keyring(tmp_path).check(str(tmp_path), Keys())) == []
        assert list(self.make_keyring(tmp_path).public_keys(str(tmp_path))) == []

    def test_every_field_of_a_key_comes_back(self, keyring: Keyring, opened: Callable[[], Keyring]) -> None:
        keys = [
            make_key("a", owner="a", kind="ed25519", public=PUBLIC, private=SEED, purpose="sign", expires=1.9e9),
            make_key("b", owner="b c", kind="secret", private=bytes(range(32)), not_before=1.8e9, created=1.7e9 + 0.25),
            make_key("c", owner="c", kind="api-key", public=bytes(range(32)), private=b"", state="retiring"),
            make_key("d", owner="d", kind="hmac", expires=math.inf, state="revoked"),
        ]
        for key in keys:
            keyring.add(key)
        for found in (keyring.keys(), opened().keys()):
            assert sorted(found, key=lambda key: key.kid) == keys

    def test_the_newest_comes_first(self, keyring: Keyring, opened: Callable[[], Keyring]) -> None:
        for kid, created in (("old", 1.0), ("new", 3.0), ("middle", 2.0), ("same", 3.0)):
            keyring.add(make_key(kid, created=created))
        assert kids(keyring) == ["same", "new", "middle", "old"]
        assert kids(opened()) == ["same", "new", "middle", "old"]

    def test_without_being_opened_it_shows_no_private_half(self, keyring: Keyring, tmp_path: Path) -> None:
        key = make_key("a", kind="ed25519", public=PUBLIC, private=SEED)
        keyring.add(key)
        assert list(self.make_keyring(tmp_path).public_keys(str(tmp_path))) == [without_private(key)]

    def test_the_revision_changes_with_the_keys_and_only_then(self, keyring: Keyring) -> None:
        seen = [keyring.revision, keyring.revision]
        keyring.add(make_key("a"))
        seen += [keyring.revision, keyring.revision]
        keyring.change("a", state="retiring")
        seen += [keyring.revision, keyring.revision]
        assert seen[0] == seen[1] != seen[2] == seen[3] != seen[4] == seen[5]

    def test_an_owners_keys_can_be_bounded(self, keyring: Keyring, clock: Clock) -> None:
        reader = {"kind": "curve25519", "public": bytes([9, *bytes(31)]), "private": b"", "purpose": "seal"}
        keyring.add(make_key("a", **reader, expires=clock() + 10), most=2)
        keyring.add(make_key("b"), most=2)
        with pytest.raises(ValueError, match="shop has 2 keys"):
            keyring.add(make_key("c"), most=2)
        keyring.add(make_key("d", owner="till"), most=1)
        clock.advance(10)
        keyring.add(make_key("c"), most=2)
        with pytest.raises(ValueError, match="shop has 2 keys"):
            keyring.add(make_key("e"), most=2)

    def test_an_id_stands_once(self, keyring: Keyring) -> None:
        keyring.add(make_key("a"))
        with pytest.raises(ValueError, match="a"):
            keyring.add(make_key("a", owner="other", private=b"another secret of some length"))
        assert keyring.keys() == (make_key("a"),)

    @pytest.mark.parametrize(
        "broken",
        [
            make_key(""),
            make_key("a b"),
            make_key("a/b"),
            make_key("k" * 129),
            make_key("a", owner=""),
            make_key("a", owner="a\nb"),
            make_key("a", private=b""),
            make_key("a", private=bytes(32)),
            make_key("a", kind="secret", private=b"short"),
            make_key("a", kind="ed25519", public=PUBLIC[:31], private=b""),
            make_key("a", kind="ed25519", public=bytes(32), private=b""),
            make_key("a", kind="ed25519", public=b"\1" + bytes(31), private=b""),
            make_key("a", kind="ed25519", public=PUBLIC, private=bytes(range(32))),
            make_key("a", kind="curve25519", public=b"\1" + bytes(31), private=b""),
            make_key("a", kind="api-key", public=b"x", private=b""),
            make_key("a", not_before=5.0, expires=5.0),
            make_key("a", created=math.nan),
            make_key("a", expires=math.nan),
        ],
        ids=str,
    )
    def test_a_malformed_key_is_refused_and_not_shown(self, keyring: Keyring, broken: Key) -> None:
        with pytest.raises(ValueError, match=r"\w") as caught:
            keyring.add(broken)
        assert not broken.private or repr(broken.private)[2:-1] not in str(caught.value)
        assert keyring.keys() == ()

    def test_nobody_takes_another_owners_name(self, keyring: Keyring) -> None:
        keyring.add(make_key("shop-1"))
        for kid, owner in (("shop", "thief"), ("thief-1", "shop-1")):
            with pytest.raises(ValueError, match=r"shop"):
                keyring.add(make_key(kid, owner=owner))

    def test_a_revoked_key_does_not_come_back_under_another_id(self, keyring: Keyring) -> None:
        keyring.add(make_key("a", kind="ed25519", public=PUBLIC, private=b""))
        keyring.change("a", state="revoked")
        with pytest.raises(ValueError, match="a of shop"):
            keyring.add(make_key("b", kind="ed25519", public=PUBLIC, private=SEED))

    def test_state_and_expiry_change_and_the_private_half_stays(
        self, keyring: Keyring, opened: Callable[[], Keyring]
    ) -> None:
        keyring.add(make_key("a"))
        retiring = keyring.change("a", state="retiring", expires=1_900_000_000.5)
        assert retiring == make_key("a", state="retiring", expires=1_900_000_000.5)
        assert keyring.keys() == opened().keys() == (retiring,)
        assert keyring.change("a", expires=math.inf) == make_key("a", state="retiring")

    def test_a_revoked_key_stays_revoked(self, keyring: Keyring) -> None:
        keyring.add(make_key("a"))
        keyring.change("a", state="revoked")
        states: tuple[State, ...] = ("active", "retiring")
        for state in states:
            with pytest.raises(ValueError, match="revoked"):
                keyring.change("a", state=state)
        assert keyring.change("a", state="revoked").state == "revoked"
        with pytest.raises(KeyError):
            keyring.change("b", state="revoked")

    def test_another_sees_each_change_within_a_second(self, keyring: Keyring, opened: Callable[[], Keyring]) -> None:
        other = opened()
        before = other.revision
        keyring.add(make_key("a"))
        wait_until(lambda: kids(other) == ["a"], SECONDS)
        assert other.revision != before
        keyring.change("a", state="revoked")
        wait_until(lambda: other.keys()[0].state == "revoked", SECONDS)

    def test_writers_at_once_lose_nothing(self, opened: Callable[[], Keyring]) -> None:
        keyrings = [opened() for _ in range(3)]

        def work(number: int) -> None:
            for one in range(5):
                keyrings[number].add(make_key(f"{number}-{one}"))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wanted = {f"{number}-{one}" for number in range(3) for one in range(5)}
        for keyring in (*keyrings, opened()):
            wait_until(lambda keyring=keyring: set(kids(keyring)) == wanted, SECONDS)  # type: ignore[misc]  # bound now

    def test_it_closes_twice(self, keyring: Keyring) -> None:
        keyring.close()
        keyring.close()
