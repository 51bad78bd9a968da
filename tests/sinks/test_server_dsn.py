"""The DSN of a server: what it says, and what is told of one that says nothing."""

from __future__ import annotations

import pytest

from sinks.server_dsn import WrongDsn, is_server, server_dsn

SECRET = "s3cr3t"  # noqa: S105  # looked for in messages


def test_every_part_is_read() -> None:
    told = server_dsn("clickhouse://me:p%40ss%3A%2F@db.example:8124/obs?compress=zstd&ch_insert_quorum=auto")
    assert (told.host, told.port, told.secure) == ("db.example", 8124, False)
    assert (told.user, told.password, told.database) == ("me", "p@ss:/", "obs")
    assert (told.options, told.settings) == ({"compress": "zstd"}, {"insert_quorum": "auto"})


@pytest.mark.parametrize(
    ("dsn", "secure", "port"),
    [
        ("clickhouse://db", False, 8123),
        ("clickhouses://db", True, 8443),
        ("clickhouse://db?secure=true", True, 8443),
        ("clickhouse://db:443/x?secure=1", True, 443),
        ("clickhouse://db?secure=false", False, 8123),
    ],
)
def test_who_says_secure_gets_tls_and_its_port(dsn: str, secure: bool, port: int) -> None:
    told = server_dsn(dsn)
    assert (told.secure, told.port, told.user) == (secure, port, "default")


def test_an_address_in_brackets_is_one() -> None:
    told = server_dsn("clickhouse://[::1]:8123/obs")
    assert told.host == "::1"
    assert told.shown == "clickhouse://default@[::1]:8123/obs"


@pytest.mark.parametrize(
    ("dsn", "told"),
    [
        (f"http://u:{SECRET}@db:8123/x", "http://... is no store: use chdb:///path, clickhouse://"),
        (f"u:{SECRET}@db", "what has no scheme is no store"),
        (f"clickhouse://u:{SECRET}@/x", "the host is missing"),
        (f"clickhouse://u:{SECRET}/x@db", "percent-encoded"),
        (f"clickhouse://u:{SECRET}@db:port/x", "the port is a number"),
        (f"clickhouse://u:{SECRET}@[::1/x", "percent-encoded"),
        (f"clickhouse://u:{SECRET}@db/x#y", "%23"),
        (f"clickhouse://u:{SECRET}@db/x/y", "after the host comes one name"),
        (f"clickhouse://u:{SECRET}@db:9000/x", "native protocol: give its HTTP port, as 8123"),
        (f"clickhouses://u:{SECRET}@db:9440/x", "as 8443"),
        (f"clickhouse://u:{SECRET}@db/x?verfy=false", "unknown option 'verfy'; did you mean 'verify'?"),
        (f"clickhouse://u:{SECRET}@db/x?secure=perhaps", "secure is true or false"),
        (f"clickhouses://u:{SECRET}@db/x?secure=false", "contradict"),
    ],
)
def test_what_is_wrong_is_said_and_the_password_is_not(dsn: str, told: str) -> None:
    with pytest.raises(WrongDsn) as wrong:
        server_dsn(dsn)
    assert told in str(wrong.value)
    assert SECRET not in str(wrong.value)


def test_a_store_on_disk_is_no_server() -> None:
    assert [is_server(dsn) for dsn in ("chdb:///x", "clickhouse://x", "clickhouses://x")] == [False, True, True]
