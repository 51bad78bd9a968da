"""What a server's or the network's error means, and what to do about it, in words; passwords are never among them."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator

from sinks.error_codes import Kind, kind_of
from sinks.server_dsn import ServerDsn
from sinks.store import StatementRefused, StoreAsks, StoreAway, StoreError

LONGEST = 400
STATUS = re.compile(r"HTTP status (\d{3})")
DRIVER_WORDS = re.compile(
    r"^(Received ClickHouse exception, code: \d+, server response: |Code: \d+\. DB::Exception: )+"
)
WHERE = "sinks::clickhouse::dsn"
HINTS = {
    81: "the database is not there: create it, or let the user create it (GRANT CREATE DATABASE)",
    60: "a table of tracemend's is not there: is it the database that a sink writes to?",
    164: "the user may only read: the sink needs one that writes",
    192: f"user or password is wrong: set {WHERE} right",
    193: f"user or password is wrong: set {WHERE} right",
    194: f"user or password is wrong: set {WHERE} right",
    516: f"user or password is wrong: set {WHERE} right",
    195: "the server does not let this user in from this machine: see its <networks>",
    241: "the server is short of memory; the same is tried again",
    242: "a replica has lost its keeper; the same is tried again",
    252: "the server merges too slowly; the same is tried again",
    497: "the user lacks a right: grant what the server names",
    701: "sinks::clickhouse::cluster names no cluster of the server's: see system.clusters",
}
NO_HOST = f"there is no such host: correct it in {WHERE}, or mend the name service"
REFUSED = f"nothing listens there: start the server, or correct host and port in {WHERE}"
NO_ANSWER = (
    "it did not answer in time: is it reachable and not overloaded? sinks::clickhouse::timeout_seconds says how long"
)
CUT = "it ended the connection; if that port speaks TLS, write clickhouses://"
NO_TLS = "that port does not speak TLS: write clickhouse://, or give the HTTPS port (8443 by default)"
CERTIFICATE = "its certificate is not trusted: add ?ca_cert=/path/to/ca.pem to the DSN ({why})"
NOT_CLICKHOUSE = f"what answers there is not ClickHouse's HTTP port: correct host and port in {WHERE}"


def store_error(error: Exception, dsn: ServerDsn) -> StoreError:
    """Turn what a driver raised into a StoreError that says where, what, and what to do."""
    kind, what = _sorted(error)
    raised = {Kind.LATER: StoreAway, Kind.ASKS: StoreAsks, Kind.NEVER: StatementRefused}[kind]
    return raised(f"{dsn.shown}: {what}")


def _sorted(error: Exception) -> tuple[Kind, str]:
    from clickhouse_connect.driver.exceptions import DataError

    code = getattr(error, "code", None)
    if code:
        hint = HINTS.get(code)
        return kind_of(code), f"{hint} ({_short(error)})" if hint else _short(error)
    if isinstance(error, DataError):
        return Kind.NEVER, _short(error)
    return _of_the_network(error)


def _of_the_network(error: Exception) -> tuple[Kind, str]:
    from urllib3 import exceptions as http

    chain = list(_causes(error))
    if (tls := _first(chain, ssl.SSLError)) is not None:
        return Kind.ASKS, _of_tls(tls)
    if _first(chain, http.NameResolutionError) is not None:
        return Kind.LATER, NO_HOST
    if _first(chain, http.TimeoutError, TimeoutError) is not None and _first(chain, http.NewConnectionError) is None:
        return Kind.LATER, NO_ANSWER
    if _first(chain, ConnectionRefusedError) is not None:
        return Kind.LATER, REFUSED
    if _first(chain, http.ProtocolError, ConnectionResetError, BrokenPipeError) is not None:
        return Kind.LATER, CUT
    return _of_status(error)


def _of_status(error: Exception) -> tuple[Kind, str]:
    """Judge an answer that has no code of ClickHouse's: a proxy's, or that of another program."""
    found = STATUS.search(str(error))
    if found is not None and int(found[1]) < 500 and found[1] != "429":
        return Kind.ASKS, f"{NOT_CLICKHOUSE} ({_short(error)})"
    return Kind.LATER, _short(error)


def _of_tls(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return CERTIFICATE.format(why=error.verify_message)
    return NO_TLS


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk from an error to what lies behind it; urllib3 keeps some of it in `reason`, or as a first argument."""
    seen: set[int] = set()
    left: list[object] = [error]
    while left:
        one = left.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            left += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]


def _first(chain: list[BaseException], *kinds: type[BaseException]) -> BaseException | None:
    return next((one for one in chain if isinstance(one, kinds)), None)


def _short(error: Exception) -> str:
    text = DRIVER_WORDS.sub("", " ".join(str(error).split()))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
