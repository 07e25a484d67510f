"""The route `crypto`: libsodium for front ends, one JSON request and one JSON reply."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from eventstream import Keys, Problem, Reject, Request, Response, Route, Services, encode_json, hookimpl
from eventstream_plugins.crypto.batch import run_body
from eventstream_plugins.crypto.description import describe
from eventstream_plugins.crypto.desk import Desk
from eventstream_plugins.crypto.hashing import Hashers
from eventstream_plugins.crypto.options import CryptoOptions
from eventstream_plugins.crypto.turns import Turns

CIPHERS_AT_ONCE = 2  # the thread pool has other work to do: commits
CIPHERS_WAITING = 100  # each holds its request in memory, and has its turn within a tenth of a second
_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}


class CryptoRoute(Route):
    """Make and check keys, seal and open, sign and verify, hash.

    `POST` one JSON object with an `operation`, or an array of them: the reply is `{"results": [...]}` with
    each one's reply or `problem`. Binary is base64: standard and URL-safe are taken, standard is answered.
    Keys stand in the request, or are named `{"kid": …}`.
    """

    name = "crypto"
    Config = CryptoOptions
    config: CryptoOptions
    methods = ("POST",)
    right = "crypto"
    answers: ClassVar = {200: "application/json"}
    examples: ClassVar[list[Any]] = [{"private_keys": "return"}, {"passwords": {"level": "moderate"}}]

    @property
    def path(self) -> str:  # type: ignore[override]  # read only: the configuration's
        """The configured path."""
        return self.config.path

    def __init__(self, config: CryptoOptions) -> None:
        super().__init__(config)
        self._hashers = Hashers()

    def check(self, folder: str, keys: Keys) -> Iterable[Problem]:
        """Keys can be kept only where there is a keyring."""
        if not keys.open:
            for name in ("keep", "register"):
                if getattr(self.config, name):
                    yield Problem(
                        "keys are kept in a keyring, and there is none", f"/{name}", "add the section keyring"
                    )

    def open(self, services: Services) -> None:
        """Start with nobody waiting."""
        self._services = services
        passwords = self.config.passwords
        self._ciphers = Turns(services, "many large requests are waiting", CIPHERS_AT_ONCE, CIPHERS_WAITING)
        self._passwords = Turns(services, "many passwords are waiting", passwords.at_once, passwords.queue)

    def close(self) -> None:
        """End the processes that hash."""
        self._hashers.close()

    def describe(self) -> Mapping[str, Any]:
        """Return each operation's request and reply, made from their types."""
        return describe(self.config)

    def handle(self, request: Request) -> Response:
        """Answer one request, or an array of them."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Reject("send JSON: Content-Type: application/json", status=415, reason="media_type")
        desk = Desk(self.config, self._services, request.identity, self._ciphers, self._hash_password)
        return Response(200, _HEADERS, encode_json(run_body(request.body, desk, self._services.pause)))

    def _hash_password(self, job: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._passwords.run(lambda: self._hashers.ask(job))
        return answer


@hookimpl
def eventstream_routes() -> Sequence[type[Route]]:
    """Offer `crypto`."""
    return [CryptoRoute]
