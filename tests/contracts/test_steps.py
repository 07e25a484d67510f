"""Every installed step keeps the promises of StepContract."""

import base64
import time
from datetime import UTC, datetime

import msgspec
from nacl.public import PrivateKey
from standardwebhooks import Webhook

from eventstream import Context, Form, Key, Request
from eventstream.testing.step_contract import StepContract
from eventstream.testing.step_runner import installed, plain_node
from eventstream_plugins.encrypt import open_envelope

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
PRIVATE = bytes(PrivateKey.from_seed(bytes(32)))
PUBLIC = base64.b64encode(bytes(PrivateKey(PRIVATE).public_key)).decode()
SHARED = base64.b64encode(bytes(range(32, 64))).decode()


class EncryptContract(StepContract):
    def make_services(self, folder):
        services = plain_node(folder)
        services.keys = {
            "warehouse": Key("warehouse", "curve25519", [PUBLIC]),
            "audit": Key("audit", "curve25519", [PUBLIC]),
            "archive": Key("archive", "secret", [SHARED]),
        }
        return services

    def comparable(self, outcome):
        return open_envelope(outcome, "warehouse", PRIVATE)


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
        services.keys = {name: Key(name, "standard-webhooks", [SECRET]) for name in ("shop", "till")}
        return services

    def make_context(self):
        body = b'{"type": "t"}'
        now = int(time.time())
        signature = Webhook(SECRET).sign("msg_1", datetime.fromtimestamp(now, UTC), body.decode())
        headers = {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": signature}
        return Context(request=Request("POST", "/events", headers, body, body), form=Form.BATCH)


SPECIAL = {"encrypt": EncryptContract, "validate": ValidateContract, "verify": VerifyContract}

for offer in installed().offers["step"].values():
    name = f"Test{offer.name.title().replace('_', '')}"
    globals()[name] = type(name, (SPECIAL.get(offer.name, StepContract),), {"step": offer.component})


def test_the_built_in_steps_are_found():
    built_in = {"drop", "encrypt", "fan_out", "limit", "persist", "reject", "set", "validate", "verify"}
    assert built_in <= installed().offers["step"].keys()
