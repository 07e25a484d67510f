"""An authenticator for tests: `Authorization: Badge NAME[;EXPIRES[;PUBLISH]]`, or the same in a cookie `badge`."""

from typing import ClassVar

from eventstream import Authenticator, Filter, Grant, Identity, Reject, hookimpl


class Badge(Authenticator):
    """Believe what stands on a badge."""

    name = "badge"
    challenge = "Badge"
    scheme: ClassVar = {"type": "http", "scheme": "badge"}

    def authenticate(self, request):
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        if kind != "Badge":
            text = request.headers.get("cookie", "").partition("badge=")[2]
        if not text:
            return None
        name, expires, narrowed = (*text.split(";"), "", "")[:3]
        if name == "forged":
            raise Reject("no", 401, "badge", private="the badge is forged")
        grants = (Grant("publish", Filter({"type": [narrowed]})),) if narrowed else None
        return Identity(name, "badge", (f"token:{name}",), float(expires or "inf"), grants)


@hookimpl
def eventstream_authenticators():
    return [Badge]
