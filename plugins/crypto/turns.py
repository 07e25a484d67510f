"""Long calls: few at once, and a bounded number waiting."""

import threading
from collections.abc import Callable
from typing import Any

from eventstream import Services
from eventstream_plugins.crypto.refusals import busy


class Turns:
    """Lets `at_once` calls run and `waiting` more wait; the next one is refused with 503."""

    def __init__(self, services: Services, what: str, at_once: int, waiting: int) -> None:
        """Say in `what` why somebody is refused."""
        self._services = services
        self._what = what
        self._places = threading.BoundedSemaphore(at_once + waiting)
        self._turns = threading.BoundedSemaphore(at_once)

    def run(self, call: Callable[[], Any]) -> Any:
        """Run the call when it is its turn, and return what it returns."""
        if not self._places.acquire(blocking=False):
            self._services.count("crypto_busy")
            raise busy(self._what)
        try:
            with self._turns:
                return call()
        finally:
            self._places.release()
