"""TLS of the doors, and certificates that are read again when their files change, without a connection dropped."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from collector.receivers.durations import CollectorNames
from schemas.metrics import CERTIFICATE_RELOADS

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
BOTH = "failed to load TLS cert and key: for auth via TLS, provide both certificate and key, or neither"


class TlsConfig(CollectorNames):
    """TLS of a door, named as in configtls; with `client_ca_file` clients need a certificate that it vouches for.

    The files are looked at every `reload_interval_seconds`, and read again when they have changed; 0 never.
    """

    cert_file: Path | None = None
    key_file: Path | None = None
    client_ca_file: Path | None = None
    client_ca_file_reload: bool = True
    min_version: Literal["1.2", "1.3"] = "1.2"
    reload_interval_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10

    @model_validator(mode="after")
    def _complete(self) -> TlsConfig:
        if self.cert_file is None or self.key_file is None:
            raise ValueError(BOTH if self.cert_file or self.key_file else "tls needs cert_file and key_file")
        Certificates(self).context()
        return self


class Material(NamedTuple):
    """The certificate chain, its key, and the authorities of clients (empty: none are asked for), as PEM."""

    chain: bytes
    key: bytes
    authorities: bytes


class Certificates:
    """The files of a door's certificates."""

    def __init__(self, config: TlsConfig) -> None:
        self._config = config
        self._state = self._stat()
        self._looked = time.monotonic()
        self._authorities = self._read_authorities()

    def context(self) -> ssl.SSLContext:
        """Make a context of what the files hold now; raises ValueError where they do not fit."""
        config = self._config
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = VERSIONS[config.min_version]
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(str(config.cert_file), str(config.key_file), password=_no_password)
            if self._authorities:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(cadata=self._authorities.decode("ascii"))
        except (OSError, ValueError) as error:
            raise ValueError(f"failed to load TLS cert and key: {error}") from error
        return context

    def material(self) -> Material:
        """Read the files as they are; raises ValueError where they do not fit."""
        self.context()
        return Material(_read(self._config.cert_file), _read(self._config.key_file), self._authorities)

    def changed(self) -> bool:
        """Look whether the files have changed since the last look, and fit one another; no more often than is set.

        While they do not (one of two was written), what was read before stays in use.
        """
        now, every = time.monotonic(), self._config.reload_interval_seconds
        if not every or now - self._looked < every:
            return False
        self._looked, state, before = now, self._stat(), self._authorities
        if state == self._state:
            return False
        try:
            if self._config.client_ca_file_reload:
                self._authorities = self._read_authorities()
            self.context()
        except ValueError:
            self._authorities = before
            CERTIFICATE_RELOADS.labels(outcome="failure").inc()
            return False
        self._state = state
        CERTIFICATE_RELOADS.labels(outcome="success").inc()
        return True

    def look_again(self) -> None:
        """Take the files for changed at the next look: what was made of them could not be used."""
        self._state = []

    def _read_authorities(self) -> bytes:
        """Read whose clients are let in; a file that is empty for a moment must not let in everybody."""
        read = _read(self._config.client_ca_file)
        if self._config.client_ca_file is not None and not read.strip():
            raise ValueError(f"failed to load TLS: {self._config.client_ca_file} is empty")
        return read

    def _stat(self) -> list[tuple[int, int, int] | None]:
        return [_stat(path) for path in (self._config.cert_file, self._config.key_file, self._config.client_ca_file)]


def _stat(path: Path | None) -> tuple[int, int, int] | None:
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_ino, found.st_size) if found is not None else None


def _read(path: Path | None) -> bytes:
    try:
        return path.read_bytes() if path is not None else b""
    except OSError as error:
        raise ValueError(f"failed to load TLS: {error}") from error


def _no_password() -> str:
    raise ValueError("the key is encrypted: keys are read without a password")
