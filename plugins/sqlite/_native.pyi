from typing import Self

from .commit import Request

class Failure(Exception):
    args: tuple[int, str]

class Connection:
    def __new__(cls, uri: str, patience: int, setup: str, statements: tuple[str, ...]) -> Self: ...
    def write(
        self,
        requests: tuple[Request, ...],
        received: int,
        bounds: tuple[int, int, int],
        gate: int,
        write: int,
        deadline: float,
    ) -> int: ...
    def close(self) -> None: ...
