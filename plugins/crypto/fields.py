"""What stands in a request: base64, keys by text or by `kid`, names of owners."""

import re
from typing import Any, ClassVar, Self

from eventstream import Duration, decode_base64

KID = r"[A-Za-z0-9._:-]{1,128}"
OWNER = r"[A-Za-z0-9._:-]{1,64}"
_ONE = "[A-Za-z0-9+/_-]"
_TAILS = {0: "", 1: f"{_ONE}[AQgw](==)?", 2: f"{_ONE}{{2}}[AEIMQUYcgkosw048]=?"}  # by the bytes in them
BASE64 = f"^({_ONE}{{4}})*({_TAILS[1]}|{_TAILS[2]})?$"
_NOTATION = re.compile("whsec_|whsk_|whpk_")


def sized_base64(size: int) -> str:
    """Return the pattern of `size` bytes in base64."""
    whole, rest = divmod(size, 3)
    return f"^{_ONE}{{{whole * 4}}}{_TAILS[rest]}$"


def decode(value: Any) -> bytes:
    """Decode base64, standard or URL-safe, with or without padding; raises ValueError that never shows it."""
    if not isinstance(value, str):
        raise ValueError("expected base64 text")  # noqa: TRY004  # what `convert` takes for a fault of the input
    if _NOTATION.match(value):
        raise ValueError(f"this is not base64 but {value.partition('_')[0]}_…: give what stands behind the underscore")
    return decode_base64(value)


class Binary(bytes):
    """Bytes, written in base64."""

    size: ClassVar[int | None] = None  # bytes it has
    added: ClassVar[int] = 0  # bytes it may have beyond the bound of the data in it
    schema: ClassVar[dict[str, Any]] = {"type": "string", "contentEncoding": "base64", "pattern": BASE64}

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Decode; raises ValueError that never shows it."""
        raw = decode(value)
        if cls.size is not None and len(raw) != cls.size:
            raise ValueError(f"this has {len(raw)} bytes; {cls.__name__.lower()}s have {cls.size}")
        return cls(raw)

    def __repr__(self) -> str:
        """Leave the bytes out: they may be secret."""
        return f"{type(self).__name__}({len(self)} bytes)"


class Ciphertext(Binary):
    """What was sealed or encrypted."""

    added = 48  # of a sealed box: a public key and a tag


class Nonce(Binary):
    """The 24 bytes that make one ciphertext differ from the next."""

    size = 24
    schema: ClassVar[dict[str, Any]] = {**Binary.schema, "pattern": sized_base64(24)}


class Signature(Binary):
    """A detached Ed25519 signature."""

    size = 64
    schema: ClassVar[dict[str, Any]] = {**Binary.schema, "pattern": sized_base64(64)}


class GivenKey:
    """A key in a request: its bytes in base64, or `{"kid": …}`."""

    __slots__ = ("kid", "raw")
    schema: ClassVar[dict[str, Any]] = {
        "oneOf": [
            {"type": "string", "contentEncoding": "base64", "pattern": BASE64, "description": "The key itself."},
            {
                "type": "object",
                "description": "A key that the server knows.",
                "required": ["kid"],
                "properties": {"kid": {"type": "string", "pattern": f"^{KID}$"}},
                "additionalProperties": False,
            },
        ]
    }

    def __init__(self, raw: bytes = b"", kid: str = "") -> None:
        """Take one of both."""
        self.raw = raw
        self.kid = kid

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Decode either form; raises ValueError that never shows it."""
        if isinstance(value, str):
            return cls(decode(value))
        if not isinstance(value, dict) or value.keys() != {"kid"}:
            raise ValueError('expected base64 text or {"kid": "…"}')
        kid = value["kid"]
        if not isinstance(kid, str) or not re.fullmatch(KID, kid):
            raise ValueError("a kid is 1 to 128 letters, digits and ._:-")
        return cls(kid=kid)


class Lifetime(Duration):
    """How long a key is good: a duration."""

    schema: ClassVar[dict[str, Any]] = {
        "oneOf": [{"type": "string", "pattern": Duration.pattern}, {"type": "number", "minimum": 0}],
        "examples": ["90d"],
    }
