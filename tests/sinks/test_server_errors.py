"""A DSN that leads nowhere: what is told, by real refusals of real sockets."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from clickhouse_fixtures import Place
from clickhouse_servers import ChdbServer

from sinks.server_store import Patience, ServerStore
from sinks.store import StoreAsks, StoreAway, StoreError

HASTY = Patience(connect_seconds=2, answer_seconds=2)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls_server(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChdbServer]:
    folder = tmp_path_factory.mktemp("tls")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    server = ChdbServer(folder, "--cert", str(folder / "server.pem"))
    yield server
    server.close()


def refusal(dsn: str) -> StoreError:
    with pytest.raises(StoreError) as raised:
        ServerStore(dsn, patience=HASTY)
    return raised.value


def test_a_wrong_password_asks_for_the_right_one_and_is_not_told(place: Place) -> None:
    dsn = place.dsn.partition("@")
    told = refusal(f"clickhouse://tests:not-this-one@{dsn[2]}")
    assert isinstance(told, StoreAsks)
    assert "user or password is wrong: set sinks::clickhouse::dsn right" in str(told)
    assert "not-this-one" not in str(told)


def test_a_host_that_does_not_exist() -> None:
    told = refusal("clickhouse://nobody.invalid/x")
    assert isinstance(told, StoreAway)
    assert "clickhouse://default@nobody.invalid:8123/x: there is no such host" in str(told)


def test_a_port_where_nothing_listens(place: Place) -> None:
    place.link.unplug()
    told = refusal(place.faulty_dsn)
    assert isinstance(told, StoreAway)
    assert "nothing listens there: start the server" in str(told)


def test_a_server_that_does_not_answer(place: Place) -> None:
    place.link.delay_seconds = 60
    assert "did not answer in time" in str(refusal(place.faulty_dsn))


def test_tls_to_a_port_that_does_not_speak_it(place: Place) -> None:
    told = refusal(place.dsn.replace("clickhouse://", "clickhouses://"))
    assert isinstance(told, StoreAsks)
    assert "that port does not speak TLS: write clickhouse://" in str(told)


def test_no_tls_to_a_port_that_speaks_it(tls_server: ChdbServer) -> None:
    assert "if that port speaks TLS, write clickhouses://" in str(refusal(tls_server.dsn("x")))


def test_a_certificate_that_is_not_trusted_and_one_that_is(
    tls_server: ChdbServer, authority: trustme.CA, tmp_path: Path
) -> None:
    dsn = tls_server.dsn("x").replace("clickhouse://", "clickhouses://")
    told = refusal(dsn)
    assert isinstance(told, StoreAsks)
    assert "its certificate is not trusted: add ?ca_cert=" in str(told)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    store = ServerStore(f"{dsn}?ca_cert={tmp_path / 'ca.pem'}", patience=HASTY)
    store.migrate()
    assert next(store.query("SELECT currentDatabase() AS d"))["d"] == "x"
    store.close()


def test_another_program_behind_the_port() -> None:
    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    try:
        told = refusal(f"clickhouse://127.0.0.1:{other.server_address[1]}/x")
    finally:
        other.shutdown()
        other.server_close()
    assert "127.0.0.1" in str(told)
    assert "501" in str(told)


def test_a_server_that_is_too_old(tmp_path: Path) -> None:
    server = ChdbServer(tmp_path, "--version", "23.3.1.2823")
    try:
        told = refusal(server.dsn("x"))
    finally:
        server.close()
    assert isinstance(told, StoreAsks)
    assert "the server is ClickHouse 23.3.1.2823: 24.8 or newer is needed" in str(told)
