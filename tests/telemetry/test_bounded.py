import logging

from eventstream.telemetry.bounded import MAX_KINDS, Bounded


class Lines:
    """A logger that keeps what it is told."""

    def __init__(self):
        self.lines = []

    def log(self, level, event, **facts):
        self.lines.append((level, event, facts))

    def warning(self, event, **facts):
        self.log(logging.WARNING, event, **facts)


def bounded(burst=3):
    lines, clock = Lines(), [0.0]
    return Bounded(lines, burst=burst, clock=lambda: clock[0]), lines.lines, clock


def test_a_flood_leaves_a_bounded_number_of_lines_and_its_count():
    one, lines, clock = bounded()
    for number in range(1000):
        one.note("refused", "signature", number=number)
    assert [facts["number"] for _, _, facts in lines] == [0, 1, 2]
    clock[0] = 59.9
    one.flush()
    assert len(lines) == 3
    clock[0] = 60
    one.flush()
    assert lines[3:] == [(logging.WARNING, "held_back", {"of": "refused", "reason": "signature", "lines": 997})]
    one.note("refused", "signature", number=1000)
    assert lines[4][2] == {"reason": "signature", "number": 1000}


def test_kinds_do_not_hold_each_other_back():
    one, lines, _ = bounded(burst=1)
    for _ in range(3):
        one.note("refused", "signature")
        one.note("refused", "origin")
        one.note("store_busy", "origin", level=logging.ERROR)
    assert [(event, facts["reason"]) for _, event, facts in lines] == [
        ("refused", "signature"), ("refused", "origin"), ("store_busy", "origin"),
    ]  # fmt: skip
    assert lines[2][0] == logging.ERROR


def test_nothing_is_told_of_a_minute_without_a_flood():
    one, lines, clock = bounded()
    one.note("refused", "signature")
    clock[0] = 61
    one.flush()
    assert len(lines) == 1


def test_kinds_are_bounded_too():
    one, lines, _ = bounded()
    for number in range(2 * MAX_KINDS):
        one.note("refused", f"made up {number}")
    assert len(lines) == MAX_KINDS
