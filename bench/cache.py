"""The cache folder outside of the repository: what is compiled, unpacked or installed at first use."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eventstream-bench"


LONGEST_REASON = 100  # characters: it stands in tables and charts


class Unavailable(Exception):
    """A peer cannot be measured on this machine: says why. It is reported, never silently dropped."""


def folder(name: str) -> Path:
    path = CACHE / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def run(
    words: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    seconds: float = 900,
) -> str:
    """Run one tool; its failure is the reason why a peer is not measured."""
    program = str(words[0])
    if not shutil.which(program):
        raise Unavailable(f"needs `{program}`, which is not installed")
    try:
        done = subprocess.run(
            [str(word) for word in words], cwd=cwd, env={**os.environ, **(environ or {})}, timeout=seconds,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Unavailable(f"`{program} {words[1]}` took longer than {seconds:g} s") from None
    if done.returncode:
        raise Unavailable(f"`{program} {words[1]}` failed: {last_words(done.stderr.strip() or done.stdout.strip())}")
    return done.stdout + done.stderr


def last_words(said: str) -> str:
    """The end of what a tool said in one line, without addresses: the reader wants to know why, not where."""
    words = re.sub(r"\s*(reading )?https?://\S+", "", " ".join(line.strip() for line in said.splitlines()[-2:]))
    return words if len(words) <= LONGEST_REASON else f"… {words[-LONGEST_REASON:].partition(' ')[2]}"


def compile_c(source: Path) -> Path:
    """The program of a C file, compiled anew when any source beside it has changed."""
    parts = sorted(source.parent.glob("*.[ch]"))
    digest = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()[:12]
    program = folder("c") / f"{source.stem}-{digest}"
    if not program.exists():
        run(["cc", "-O2", "-Wall", "-Wextra", "-o", f"{program}.new", source])
        Path(f"{program}.new").rename(program)
    return program


def debian(packages: Sequence[str]) -> Path:
    """A folder with Debian packages unpacked, beside the system and without changing it.

    Their dependencies that this machine lacks are unpacked too. Returns the folder that stands for `/`.
    """
    root = folder("debian") / "-".join(packages)
    if root.exists():
        return root
    plan = run(["apt-get", "install", "--simulate", "--no-install-recommends", *packages])
    missing = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    fresh = folder("debian") / f"{'-'.join(packages)}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / "debs").mkdir(parents=True)
    run(["apt-get", "download", *sorted({*missing, *packages})], cwd=fresh / "debs")
    for package in (fresh / "debs").glob("*.deb"):
        run(["dpkg", "-x", package, fresh])
    shutil.rmtree(fresh / "debs")
    fresh.rename(root)
    return root


def go_program(module: str) -> Path:
    """A Go program built by `go install`, the newest that the module proxy gives."""
    name = [part for part in module.split("/") if not part.removeprefix("v").isdigit()][-1]
    program = folder("go") / name
    if not program.exists():
        run(["go", "install", f"{module}@latest"], environ={"GOBIN": str(program.parent)})
    return program


def npm_packages(manifest: Path) -> Path:
    """A folder with the packages that a package.json names (exact versions); returns the folder."""
    target = folder("npm") / manifest.parent.name
    if (target / "package.json").exists() and (target / "package.json").read_bytes() == manifest.read_bytes():
        return target
    target.mkdir(exist_ok=True)
    shutil.copy(manifest, target / "package.json.new")
    run(["npm", "install", "--no-audit", "--no-fund", "--prefix", target, *_pins(manifest)])
    (target / "package.json.new").rename(target / "package.json")
    return target


def _pins(manifest: Path) -> list[str]:
    return [f"{name}@{version}" for name, version in json.loads(manifest.read_text())["dependencies"].items()]
