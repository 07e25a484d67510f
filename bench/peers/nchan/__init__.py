"""Nchan: pub/sub inside nginx, messages in shared memory. Debian's nginx and libnginx-mod-nchan."""

import re
import shutil
from pathlib import Path

from bench import cache
from bench.generator import Ask, compact, event, get, post, websocket
from bench.peers.peer import Peer
from bench.processes import file_limit

HERE = Path(__file__).parent


class Nchan(Peer):
    name = "nchan"
    title = "Nchan"
    durable = "memory"

    def __init__(self) -> None:
        super().__init__()
        self._nginx: Path = Path("/usr/sbin/nginx")
        self._module: Path = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

    def prepare(self) -> None:
        if not self._module.exists() or not self._nginx.exists():
            root = cache.debian(["nginx", "libnginx-mod-nchan"])
            self._module = root / "usr/lib/nginx/modules/ngx_nchan_module.so"
            self._nginx = root / "usr/sbin/nginx"

    def version(self) -> str:
        nginx = cache.run([self._nginx, "-v"]).strip().rpartition("/")[2]
        return f"nginx {nginx}, Nchan {_package_version()}"

    def launch(self, folder: Path) -> None:
        port = self.take_port()
        config = (HERE / "nginx.conf").read_text()
        for name, value in {"MODULE": self._module, "PORT": port, "FOLDER": folder, "FILES": file_limit()}.items():
            config = config.replace(f"@{name}@", str(value))
        (folder / "nginx.conf").write_text(config)
        self.spawn(
            self._nginx, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log", folder=folder
        ).wait_port(port)

    def subscribe(self, transport: str) -> Ask:
        return Ask(get("/sub", Accept="text/event-stream") if transport == "sse" else websocket("/sub"))

    def publish(self, size: int = 250) -> bytes:
        return post("/pub", compact(event(size)))


def _package_version() -> str:
    words = ["apt-cache", "policy", "libnginx-mod-nchan"] if shutil.which("apt-cache") else ["true", ""]
    found = re.search(r"Candidate: (\S+)", cache.run(words))
    return found[1] if found else "unknown"
