"""Judging keys by their bytes: what every plugin that takes keys from outside asks. No plugin of its own.

Each judge returns what is wrong, in words that fit behind "this key", or None; the words never show a
key. Public halves are no secret, so they are judged without regard to time; of private ones only the
length and whether every byte is zero are looked at, and the public half that they give.
"""

from nacl.bindings import crypto_core_ed25519_is_valid_point, crypto_scalarmult_base, crypto_sign_seed_keypair

SIZE = 32  # bytes of each half of a pair (of an Ed25519 private key: its seed), and of a `secret`
MIN_HMAC, MAX_HMAC = 16, 512  # bytes of a signing secret
PAIRS = frozenset({"ed25519", "curve25519"})

_PRIME = 2**255 - 19
# Coordinates of the points whose order is 1, 2, 4 or 8: they give nothing away and prove nothing.
_SMALL_Y = frozenset(  # on Ed25519 (RFC 8032)
    {
        0,
        1,
        _PRIME - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    }
)
_SMALL_U = frozenset(  # on Curve25519 and its twist (RFC 7748)
    {
        0,
        1,
        _PRIME - 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    }
)


def judge_public(kind: str, raw: bytes) -> str | None:
    """Judge the public half of an `ed25519` or `curve25519` pair."""
    if len(raw) != SIZE:
        return f"has {len(raw)} bytes; a public half of kind {kind} has {SIZE}"
    if not any(raw):
        return "is all zero"
    number = int.from_bytes(raw, "little")
    coordinate = number % 2**255  # the highest bit is a sign (Ed25519), or must be clear (Curve25519)
    if coordinate >= _PRIME or (kind == "curve25519" and number != coordinate):
        return "is not in its canonical encoding: its number is not below 2^255-19"
    if coordinate in (_SMALL_Y if kind == "ed25519" else _SMALL_U):
        return "is a point of low order"
    if kind == "ed25519" and not crypto_core_ed25519_is_valid_point(raw):
        return "is no point of the Ed25519 group"
    return None


def judge_private(kind: str, raw: bytes) -> str | None:
    """Judge a private half, a `secret` or an `hmac`."""
    if kind == "hmac" and not MIN_HMAC <= len(raw) <= MAX_HMAC:
        return f"has {len(raw)} bytes; a signing secret has {MIN_HMAC} to {MAX_HMAC}"
    if kind != "hmac" and len(raw) != SIZE:
        return f"has {len(raw)} bytes; a private key of kind {kind} has {SIZE}"
    return None if any(raw) else "is all zero"


def judge_pair(kind: str, public: bytes, private: bytes) -> str | None:
    """Judge both halves of an `ed25519` or `curve25519` pair, and whether they belong together."""
    fault = judge_private(kind, private) or judge_public(kind, public)
    if fault is None and public_of(kind, private) != public:
        return "is a mismatched pair: its public half is not that of its private half"
    return fault


def public_of(kind: str, private: bytes) -> bytes:
    """Return the public half that belongs to a well-formed private one."""
    if kind == "ed25519":
        return bytes(crypto_sign_seed_keypair(private)[0])
    return bytes(crypto_scalarmult_base(private))
