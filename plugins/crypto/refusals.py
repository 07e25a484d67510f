"""How an operation says no. Nothing of a key, a password or a plaintext stands in these texts."""

from eventstream import Fault, Reject


def refuse(detail: str, pointer: str = "", status: int = 422) -> Reject:
    """Return the refusal of a request because of what stands at `pointer`."""
    return Reject(detail, status=status, reason="crypto", faults=[Fault(detail, pointer)])


def malformed(detail: str, pointer: str = "") -> Reject:
    """Return the refusal of a request that is not written as it should be."""
    return refuse(detail, pointer, 400)


def too_large(limit: int, pointer: str) -> Reject:
    """Return the refusal of what has more than `limit` bytes."""
    detail = f"this has more than {limit} bytes"
    return Reject(
        detail, status=413, reason="too_large", faults=[Fault(detail, pointer)], members={"limit": int(limit)}
    )


def unopened(pointer: str) -> Reject:
    """Return the one refusal of everything that does not open: why it does not is nobody's business."""
    return refuse("this does not open: another key, nonce or associated data, or it was altered", pointer)


def busy(what: str) -> Reject:
    """Return the refusal of what would take too much at once."""
    return Reject(f"{what}; try again", status=503, reason="busy", headers={"Retry-After": "1"})
