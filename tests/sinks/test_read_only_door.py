"""The read-only ClickHouse door: real clients pass, nothing reaches outside the store, nothing is changed."""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import clickhouse_connect
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.clickhouse_http import ClickHouseHttp
from sinks.statements import Refused, check, tokenize
from sinks.store import Store


class Door:
    """The door on a store of its own, served from a loop of its own."""

    def __init__(self, folder: Path) -> None:
        dsn = f"chdb:///{folder / 'store'}"
        self.store = Store(dsn)
        self.store.migrate()
        self._door = ClickHouseHttp("127.0.0.1:0", dsn)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._door.start(), self._loop).result(30)
        self.address = self._door.address

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._door.stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self.store.close()

    def ask(self, sql: str, path: str = "/", **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.address, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", path, sql.encode(), named)
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        return response.status, body


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    opened = Door(tmp_path_factory.mktemp("door"))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("SELECT 1", "1\n"),
        ("select 'file(' AS x", "file(\n"),
        ("SELECT count() FROM otel_traces FORMAT JSONEachRow", '{"count()":0}\n'),
        ("WITH 2 AS x SELECT x; ", "2\n"),
        ("SELECT sum(number) FROM numbers(4) -- file('x')", "6\n"),
    ],
)
def test_questions_are_answered(door: Door, sql: str, answer: str) -> None:
    assert door.ask(sql) == (200, answer)


def test_parameters_and_formats_come_by_url(door: Door) -> None:
    assert door.ask("SELECT {a:UInt8} + 1 AS b", "/?param_a=4&default_format=JSONEachRow") == (200, '{"b":5}\n')


def test_clickhouse_connect_is_content_with_it(door: Door) -> None:
    host, port = door.address.split(":")
    client = clickhouse_connect.get_client(host=host, port=int(port))
    rows = client.query("SELECT Name FROM schema_migrations WHERE Name > {n:String}", parameters={"n": "007"})
    assert {row[0] for row in rows.result_rows} >= {"007_cost_metrics.sql", "008_healing.sql"}


HOSTILE = [
    "SELECT * FROM file('/etc/hostname', 'LineAsString')",
    "SELECT * FROM `file`('/etc/hostname', 'LineAsString')",
    "SELECT * FROM \"file\"('/etc/hostname', 'LineAsString')",
    "SELECT * FROM FILE/**/('/etc/hostname', 'LineAsString')",
    "SELECT * FROM fi/**/le('/etc/hostname')",
    "SELECT (SELECT * FROM url('http://127.0.0.1/', 'LineAsString'))",
    "SELECT * FROM s3('http://x/y', 'CSV')",
    "SELECT * FROM executable('id', 'TSV', 'x String')",
    "SELECT * FROM python('x')",
    "SELECT * FROM remote('127.0.0.1', system.one)",
    "SELECT file('/etc/hostname')",
    "SELECT 1 INTO OUTFILE 'NEVER'",
    "SELECT 1; DROP TABLE otel_traces",
    "INSERT INTO schema_migrations (Name) VALUES ('x')",
    "DROP TABLE otel_traces",
    "CREATE TABLE t (a UInt8) ENGINE = File(CSV, 'NEVER')",
    "SET readonly = 0",
    "SELECT 1 SETTINGS readonly = 0",
    "SYSTEM SHUTDOWN",
    "ATTACH TABLE x FROM '/etc'",
    "EXPLAIN SELECT * FROM file('/etc/hostname')",
    "DESCRIBE TABLE file('/etc/hostname')",
    "",
]


@pytest.mark.parametrize("sql", [sql for sql in HOSTILE if sql])
def test_nothing_reaches_outside_and_nothing_is_changed(door: Door, sql: str, tmp_path: Path) -> None:
    status, body = door.ask(sql.replace("NEVER", str(tmp_path / "never")))
    assert status == 400
    assert "Exception" in body
    assert list(tmp_path.iterdir()) == []


def test_after_a_refused_statement_the_writer_still_writes_and_the_door_still_answers(door: Door) -> None:
    door.ask("SELECT 1 SETTINGS readonly = 0")
    door.store.insert("schema_migrations", ("Name",), [["zzz"]])
    assert door.ask("SELECT count() FROM schema_migrations WHERE Name = 'zzz'") == (200, "1\n")


def test_only_loopback_hosts_and_no_web_page_are_answered(door: Door) -> None:
    assert door.ask("SELECT 1", Host="attacker.example")[0] == 403
    assert door.ask("SELECT 1", Origin="http://attacker.example")[0] == 403
    assert door.ask("SELECT 1", Sec_Fetch_Site="cross-site")[0] == 403


def test_a_question_that_would_run_for_ever_is_stopped_by_its_limits(door: Door) -> None:
    status, body = door.ask("SELECT number FROM numbers(5000000)")
    assert status == 400
    assert "TOO_MANY_ROWS" in body


@given(st.text(max_size=300))
def test_any_text_is_refused_or_passes_without_raising(text: str) -> None:
    try:
        check(text, {"file"})
    except Refused:
        return


@given(st.text(alphabet="file('\"`/*- \n;", max_size=80))
def test_tokens_cover_the_text_in_order(text: str) -> None:
    try:
        tokens = list(tokenize(text))
    except Refused:
        return
    assert all(one.end <= other.start for one, other in pairwise(tokens))
    assert all(token.end > token.start for token in tokens)
