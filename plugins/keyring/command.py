"""The command `keys`: words in, calls to the keyring, text or JSON out."""

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from eventstream import Command, ConfigError, Duration, EventStreamError, Key, Keyring, Problem

from . import acts, texts
from .make import KINDS
from .master import make_master, write_master
from .show import describe, moment, print_key, print_keys, print_made

STANDARD_INPUT = "-"


class KeysCommand(Command):
    """Make, list, import, export, rotate and revoke the keys of the keyring.

    It works on the keyring of --config, beside a running server or without one; a server sees each change
    within a second. `list` and `show` need no master key. Secrets are never taken from the command line,
    and never shown but by `new` (an API key, once) and `export --private`.
    """

    name: ClassVar[str] = "keys"

    def arguments(self, parser: ArgumentParser) -> None:
        """Declare the actions and their arguments."""
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

        def action(act: Callable[[Namespace], None], help: str) -> ArgumentParser:
            name = act.__name__.lstrip("_").rstrip("_")
            own = actions.add_parser(name, help=help, description=help, allow_abbrev=False)
            own.set_defaults(act=act)
            if act is not _master:
                text = "configuration whose keyring is meant (default: pipelines.yaml)"
                own.add_argument("--config", default="pipelines.yaml", metavar="FILE", help=text)
                own.add_argument("--json", action="store_true", help="print JSON")
            return own

        new = action(_new, "Make a key.")
        new.add_argument("kind", choices=KINDS, help="what kind of key")
        _circumstances(new)
        listed = action(_list, "List all keys.")
        listed.add_argument("--owner", help="only this owner's")
        action(_show, "Show one key, without its private half.").add_argument("kid", metavar="KID", help="its id")
        _import_arguments(action(_import, "Keep a key that was made elsewhere."))
        export = action(_export, "Print a key for others.")
        export.add_argument("kid", metavar="KID", help="its id")
        export.add_argument("--private", action="store_true", help="the private half too: keep what is printed safe")
        export.add_argument("--format", choices=texts.FORMATS, help="default: jwk; of an hmac webhook, of a secret raw")
        rotate = action(_rotate, "Make new keys in place of an owner's, and let the old ones retire.")
        rotate.add_argument("owner", metavar="OWNER", help="whose keys")
        rotate.add_argument("--kind", choices=KINDS, help="only keys of this kind")
        rotate.add_argument("--purpose", help="only keys of this purpose")
        rotate.add_argument(
            "--overlap",
            metavar="TIME",
            help="how long the old keys still count (default: 24h; of purpose at-rest: for ever)",
        )
        revoke = action(_revoke, "End keys at once, for good.")
        revoke.add_argument("kids", metavar="KID", nargs="+", help="their ids")
        master = action(_master, "Make a master key. It is never written over.")
        master.add_argument(
            "path", metavar="PATH", nargs="?", default="keys/master.key",
            help="the new file (default: keys/master.key); - for standard output",
        )  # fmt: skip

    def run(self, arguments: Namespace) -> int:
        """Do it; what is refused raises EventStreamError."""
        try:
            arguments.act(arguments)
        except KeyError as error:
            raise EventStreamError(f"there is no key {error.args[0]}") from None
        except ValueError as error:
            raise EventStreamError(str(error)) from None
        return 0


def _circumstances(parser: ArgumentParser) -> None:
    parser.add_argument("--owner", required=True, help="who holds it: the name that configurations use")
    parser.add_argument("--purpose", default="", help="sign, verify, seal, at-rest, token or api (default: anything)")
    when = "a time such as 2027-01-31 or 2027-01-31T12:00:00Z, or from now on, such as 90d"
    parser.add_argument("--not-before", metavar="TIME", help=f"when it becomes valid: {when}")
    parser.add_argument("--expires", metavar="TIME", help=f"when it ends (default: never): {when}")
    parser.add_argument("--kid", help="its id (default: made of owner, day and chance)")


def _import_arguments(parser: ArgumentParser) -> None:
    text = "file with whpk_…, whsk_…, whsec_…, sha256:…, a JWK, a JWK Set or base64 (default: standard input)"
    parser.add_argument("file", metavar="FILE", nargs="?", default=STANDARD_INPUT, help=text)
    _circumstances(parser)
    parser.add_argument("--kind", choices=KINDS, help="what base64 stands for")
    parser.add_argument("--private", action="store_true", help="base64 of a pair is its private half")


@contextmanager
def _opened(arguments: Namespace) -> Iterator[Keyring]:
    keyring, services = arguments.keyring(arguments.config)
    try:
        keyring.open(services)
        yield keyring
    finally:
        keyring.close()


def _public_keys(arguments: Namespace) -> list[Key]:
    keyring, services = arguments.keyring(arguments.config)
    return list(keyring.public_keys(services.folder))


def _new(arguments: Namespace) -> None:
    terms = _terms(arguments)
    with _opened(arguments) as keyring:
        print_made([acts.new(keyring, arguments.kind, terms)], terms.now, as_json=arguments.json)


def _terms(arguments: Namespace) -> acts.Terms:
    now = time.time()
    not_before = moment(arguments.not_before, now)
    expires = moment(arguments.expires, now)
    return acts.Terms(arguments.owner, now, arguments.purpose, not_before, expires, arguments.kid)


def _list(arguments: Namespace) -> None:
    keys = [key for key in _public_keys(arguments) if arguments.owner in (None, key.owner)]
    print_keys(keys, time.time(), as_json=arguments.json)


def _show(arguments: Namespace) -> None:
    print_key(acts.find(_public_keys(arguments), arguments.kid), time.time(), as_json=arguments.json)


def _import(arguments: Namespace) -> None:
    found = texts.read_texts(_read_input(arguments.file), arguments.kind, private=arguments.private)
    terms = _terms(arguments)
    with _opened(arguments) as keyring:
        keys = [acts.take_in(keyring, one, terms) for one in found]
    print_keys(keys, terms.now, as_json=arguments.json)


def _read_input(name: str) -> str:
    try:
        data = sys.stdin.buffer.read(texts.MAX_TEXT + 1) if name == STANDARD_INPUT else _read_file(name)
    except OSError as error:
        raise ConfigError([Problem(f"cannot read {name}: {error.strerror}")]) from None
    if len(data) > texts.MAX_TEXT:
        raise ValueError(f"the input is longer than {texts.MAX_TEXT} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("the input is no text: give the key in base64") from None


def _read_file(name: str) -> bytes:
    with Path(name).open("rb") as file:
        return file.read(texts.MAX_TEXT + 1)


def _export(arguments: Namespace) -> None:
    if not arguments.private:
        key = acts.find(_public_keys(arguments), arguments.kid)
    else:
        with _opened(arguments) as keyring:
            key = acts.find(keyring.keys(), arguments.kid)
    text = texts.write_text(key, arguments.format, private=arguments.private)
    if arguments.private:
        sys.stderr.write(f"eventstream: this is the private half of {key.kid}: whoever has it is {key.owner}\n")
    sys.stdout.write(json.dumps(describe(key, time.time()) | {"key": text}, indent=2) if arguments.json else text)
    sys.stdout.write("\n")


def _rotate(arguments: Namespace) -> None:
    overlap = Duration.parse(arguments.overlap) if arguments.overlap is not None else None
    now = time.time()
    with _opened(arguments) as keyring:
        made, retired = acts.rotate(keyring, arguments.owner, now, arguments.kind, arguments.purpose, overlap)
    print_made(made, now, retired, as_json=arguments.json)


def _revoke(arguments: Namespace) -> None:
    with _opened(arguments) as keyring:
        for kid in arguments.kids:
            acts.find(keyring.keys(), kid)  # all or none
        keys = [keyring.change(kid, state="revoked") for kid in arguments.kids]
    print_keys(keys, time.time(), as_json=arguments.json)


def _master(arguments: Namespace) -> None:
    if arguments.path == STANDARD_INPUT:
        sys.stdout.write(make_master() + "\n")
        return
    write_master(Path(arguments.path))
    sys.stderr.write(
        f"eventstream: {arguments.path} is a new master key; keep a copy where the keyring's backups are not\n"
    )
