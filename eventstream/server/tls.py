"""The certificate of HTTPS: loaded by the master, inherited by its workers, renewed without a cut."""

from __future__ import annotations

import ssl
from pathlib import Path

from eventstream.config.model import Settings
from eventstream.errors import ConfigError, Problem
from eventstream.telemetry.log import get_logger

log = get_logger("tls")

_Stamp = tuple[tuple[int, int, int] | None, ...]


class Certificate:
    """A certificate's files, and the context that serves the next handshake."""

    def __init__(self, cert: str | Path, key: str | Path) -> None:
        """Load both files; raises OSError (ssl.SSLError is one) when they cannot be used."""
        self.files = (str(cert), str(key))
        self._seen = self._stamp()
        self.context = _load(*self.files)

    def renew(self) -> None:
        """Load the files again when they have changed; a broken pair leaves the old one in force.

        A new context each time: one that failed to load half of a pair would serve nobody. Connections
        keep the one they began with.
        """
        stamp = self._stamp()
        if stamp == self._seen or None in stamp:
            return
        self._seen = stamp
        try:
            self.context = _load(*self.files)
        except OSError as error:
            log.error("certificate_not_renewed", error=str(error), file=self.files[0])
        else:
            log.info("certificate_renewed", file=self.files[0])

    def _stamp(self) -> _Stamp:
        return tuple(_stamp(file) for file in self.files)


def certificate_of(settings: Settings) -> Certificate | None:
    """Load the certificate that the settings name; raises ConfigError."""
    tls = settings.server.tls
    if tls is None:
        return None
    cert, key = (Path(settings.folder) / name for name in (tls.cert, tls.key))
    try:
        return Certificate(cert, key)
    except OSError as error:
        message = f"server.tls: {cert} and {key} cannot be used together: {error}"
        hint = "a PEM certificate with its chain, and its own private key without a passphrase"
        raise ConfigError([Problem(message, "/server/tls", hint, settings.file)]) from None


def _load(cert: str, key: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key, password=_refuse_passphrase)
    return context


def _refuse_passphrase() -> str:
    """Without this OpenSSL would ask on the terminal, and wait."""
    return ""


def _stamp(file: str) -> tuple[int, int, int] | None:
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)
