"""The address of a ClickHouse server, as one line: `clickhouse://user:password@host:8123/database?option=value`.

`clickhouses://`, or `?secure=true`, is HTTPS. Options are those of clickhouse-connect's client that are listed here,
and `ch_NAME=VALUE` for a setting of the server's, as in `ch_insert_quorum=auto`.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from rapidfuzz import fuzz, process

PLAIN, SECURE = "clickhouse", "clickhouses"
HTTP_PORT, HTTPS_PORT = 8123, 8443
NATIVE_PORTS = {9000: HTTP_PORT, 9440: HTTPS_PORT}
"""Ports of ClickHouse's own protocol, which is not spoken here, and the one that was probably meant."""
DEFAULT_DATABASE = "default"
OPTIONS = frozenset(
    {
        "ca_cert", "client_cert", "client_cert_key", "compress", "http_proxy", "https_proxy", "proxy_path", "secure",
        "server_host_name", "tls_mode", "verify",
    }
)  # fmt: skip
SETTING = "ch_"
TRUE, FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})
EXAMPLE = "clickhouse://user:password@host:8123/database"


class WrongDsn(ValueError):  # noqa: N818  # named by what is said
    """A DSN that names no store; says what is wrong with it, and never the password."""


class ServerDsn(NamedTuple):
    """A server, taken apart; `settings` go with every request."""

    host: str
    port: int
    secure: bool
    user: str
    password: str
    database: str
    options: dict[str, str]
    settings: dict[str, str]

    @property
    def shown(self) -> str:
        """Write it without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{SECURE if self.secure else PLAIN}://{self.user}@{host}:{self.port}/{self.database}"


def is_server(dsn: str) -> bool:
    """Say whether a DSN is a server's and not that of a store on disk."""
    return dsn.partition(":")[0] in (PLAIN, SECURE)


def server_dsn(dsn: str) -> ServerDsn:
    """Take a DSN apart; raises WrongDsn."""
    scheme, colon, _ = dsn.partition("://")
    if not colon or scheme not in (PLAIN, SECURE):
        raise WrongDsn(
            f"{_shown_scheme(scheme, colon)} is no store: use chdb:///path, {EXAMPLE}, or {SECURE}:// for TLS"
        )
    try:
        parts = urlsplit(dsn)
        port = parts.port
    except ValueError:
        raise WrongDsn("the port is a number up to 65535; a password with / : @ ? # is percent-encoded") from None
    if not parts.hostname:
        raise WrongDsn(f"the host is missing: {EXAMPLE}; a password with / : @ ? # is percent-encoded")
    if parts.fragment:
        raise WrongDsn("there is a # in it: in a password it is written %23")
    options, settings = _options(parts.query)
    secure = _secure(scheme, options)
    port = port or (HTTPS_PORT if secure else HTTP_PORT)
    if port in NATIVE_PORTS:
        raise WrongDsn(
            f"{port} is the port of ClickHouse's native protocol: give its HTTP port, as {NATIVE_PORTS[port]}"
        )
    return ServerDsn(
        host=parts.hostname,
        port=port,
        secure=secure,
        user=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        database=_database(parts.path),
        options=options,
        settings=settings,
    )


def _shown_scheme(scheme: str, colon: str) -> str:
    return f"{scheme}://..." if colon else "what has no scheme"


def _database(path: str) -> str:
    name = unquote(path.strip("/"))
    if "/" in name:
        raise WrongDsn(f"after the host comes one name, that of the database: {EXAMPLE}")
    return name or DEFAULT_DATABASE


def _options(query: str) -> tuple[dict[str, str], dict[str, str]]:
    options, settings = {}, {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name.startswith(SETTING) and len(name) > len(SETTING):
            settings[name.removeprefix(SETTING)] = value
        elif name in OPTIONS:
            options[name] = value
        else:
            best = process.extractOne(name, sorted(OPTIONS), scorer=fuzz.WRatio, score_cutoff=70)
            hint = f"did you mean {best[0]!r}?" if best else f"known: {', '.join(sorted(OPTIONS))}"
            raise WrongDsn(f"unknown option {name!r}; {hint} A setting of the server is {SETTING}{name}")
    return options, settings


def _secure(scheme: str, options: dict[str, str]) -> bool:
    asked = options.pop("secure", "").lower()
    if asked and asked not in TRUE | FALSE:
        raise WrongDsn("secure is true or false")
    if scheme == SECURE and asked in FALSE:
        raise WrongDsn(f"{SECURE}:// and secure=false contradict each other")
    return scheme == SECURE or asked in TRUE
