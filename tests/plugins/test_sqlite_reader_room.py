import threading

from eventstream.testing.deadline import wait_until
from eventstream.testing.services import PlainServices
from eventstream.testing.store_fixtures import append
from eventstream_plugins.sqlite import Sqlite


class Narrow(PlainServices):
    """Native threads in which the calls of readers stay until `gate` is opened."""

    def __init__(self, folder):
        super().__init__(folder)
        self.gate = threading.Event()
        self.inside = self.most = 0
        self._lock = threading.Lock()

    def offload(self, call):
        if threading.current_thread().name == "reader":
            with self._lock:
                self.inside += 1
                self.most = max(self.most, self.inside)
            assert self.gate.wait(20)
            with self._lock:
                self.inside -= 1
        return super().offload(call)


def test_a_storm_of_readers_leaves_native_threads_to_commits(tmp_path):
    services = Narrow(str(tmp_path))
    store = Sqlite()
    store.open(services)
    readers = [threading.Thread(target=lambda: store.read(0, 1), name="reader") for _ in range(20)]
    for reader in readers:
        reader.start()
    wait_until(lambda: services.inside == 4)
    assert append(store, "a") == [1]
    services.gate.set()
    for reader in readers:
        reader.join(20)
        assert not reader.is_alive()
    assert services.most == 4
    store.close()
