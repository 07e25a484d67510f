"""Every installed step keeps the promises of StepContract."""

import base64
import copy
import time
from datetime import UTC, datetime
from typing import ClassVar

import msgspec
from nacl.public import PrivateKey
from standardwebhooks import Webhook

from eventstream import Context, Form, Key, Keys, Request, parse_key
from eventstream.testing.step_contract import StepContract, samples
from eventstream.testing.step_runner import installed, plain_node
from eventstream_plugins.encrypt import open_envelope
from eventstream_plugins.encrypt.envelope import Recipient, new_content_key, plaintext_of, seal

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
PRIVATE = bytes(PrivateKey.from_seed(bytes(32)))
PUBLIC = base64.b64encode(bytes(PrivateKey(PRIVATE).public_key)).decode()
SHARED = base64.b64encode(bytes(range(32, 64))).decode()


def keyed(folder, **texts):
    services = plain_node(folder)
    services.keys = Keys(parse_key(name, name, *text) for name, text in texts.items())
    return services


class EncryptContract(StepContract):
    def make_services(self, folder):
        return keyed(folder, warehouse=("curve25519", PUBLIC), audit=("curve25519", PUBLIC), archive=("secret", SHARED))

    def comparable(self, outcome):
        return open_envelope(outcome, "warehouse", PRIVATE)


def sealed_samples():
    content_key = new_content_key([Recipient("archive", "xchacha20poly1305", base64.b64decode(SHARED))])
    return [seal(one, plaintext_of(one), content_key) for one in samples()]


class DecryptContract(StepContract):
    sealed: ClassVar = sealed_samples()

    def make_services(self, folder):
        return keyed(folder, archive=("secret", SHARED))

    def make_events(self):
        return [*copy.deepcopy(self.sealed), *samples()]


class ValidateContract(StepContract):
    def make_services(self, folder):
        for name in ("schemas", "contracts"):
            (folder / name).mkdir(exist_ok=True)
            schema = {"type": "object", "properties": {"order": {"maximum": 7}}, "required": ["order"]}
            (folder / name / "shop.order.created.json").write_bytes(msgspec.json.encode(schema))
        return plain_node(folder)


class VerifyContract(StepContract):
    def make_services(self, folder):
        services = plain_node(folder)
        keys = [parse_key(name, name, "standard-webhooks", SECRET) for name in ("shop", "till")]
        services.keys = Keys([*keys, parse_key("meter", "meter", "ed25519", PUBLIC)])
        return services

    def make_context(self):
        body = b'{"type": "t"}'
        now = int(time.time())
        signature = Webhook(SECRET).sign("msg_1", datetime.fromtimestamp(now, UTC), body.decode())
        headers = {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": signature}
        return Context(request=Request("POST", "/events", headers, body, body), form=Form.BATCH)


class SignContract(StepContract):
    def make_services(self, folder):
        services = plain_node(folder)
        services.keys = Keys([Key("server-1", "server", "ed25519", private=bytes(32))])
        return services


SPECIAL = {
    "decrypt": DecryptContract,
    "encrypt": EncryptContract,
    "sign": SignContract,
    "validate": ValidateContract,
    "verify": VerifyContract,
}

for offer in installed().offers["step"].values():
    name = f"Test{offer.name.title().replace('_', '')}"
    globals()[name] = type(name, (SPECIAL.get(offer.name, StepContract),), {"step": offer.component})


def test_the_built_in_steps_are_found():
    others = {"drop", "fan_out", "limit", "persist", "reject", "set"}
    assert SPECIAL.keys() | others <= installed().offers["step"].keys()
