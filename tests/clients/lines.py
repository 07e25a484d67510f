"""A process that prints JSON lines, read as they come."""

import json
import subprocess
import threading
from pathlib import Path

from eventstream.testing.process import wait_for


class Lines:
    """Runs a command in the background; `lines` holds what it printed so far."""

    def __init__(self, words, folder: Path) -> None:
        self.words = [str(word) for word in words]
        self.lines: list = []
        self._errors = folder / "stderr"
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                self.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def tell(self, message) -> None:
        """Write a JSON line to its input."""
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def wait(self, condition, what, seconds=30.0):
        """Wait until `condition(lines)` is true and return that; its errors are shown when it never is."""

        def value():
            if self.process.poll() is not None:
                self._reader.join(5)
                if not (last := condition(self.lines)):
                    raise ChildProcessError(f"{self.words} ended with {self.process.returncode}: {self.errors()}")
                return last
            return condition(self.lines)

        try:
            return wait_for(value, what, seconds=seconds)
        except TimeoutError as error:
            error.add_note(f"{len(self.lines)} lines, last {self.lines[-3:]}; errors: {self.errors()}")
            raise

    def errors(self) -> str:
        """The end of what it wrote to stderr."""
        return self._errors.read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        self._reader.join(5)
        self.process.stdin.close()
        self.process.stdout.close()
