"""The read-only door over HTTP, with the clients that people use and the requests that nobody should send."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from clickhouse_http_door import ask

from sinks.clickhouse_http import ClickHouseHttp
from sinks.store import Store


def test_a_statement_in_the_body_or_in_the_url_is_answered_in_the_format_asked_for(door: ClickHouseHttp) -> None:
    assert ask(door, "SELECT 1").body == b"1\n"
    assert ask(door, "", method="GET", query="SELECT 2").body == b"2\n"
    assert ask(door, "SELECT 3 AS n", default_format="JSONEachRow").body == b'{"n":3}\n'
    assert ask(door, "SELECT 4 FORMAT CSV", default_format="JSON").body == b"4\n"
    assert ask(door, "query=SELECT+5", {"Content-Type": "application/x-www-form-urlencoded"}).body == b"5\n"


def test_parameters_reach_the_engine_as_clients_escape_them(door: ClickHouseHttp) -> None:
    reply = ask(door, "SELECT {x:String} = 'a\tb''c', {y:Array(String)}", param_x="a\\tb'c", param_y="['u','v']")
    assert reply.body == b"1\t['u','v']\n"


def test_clickhouse_connect_reads_through_the_door(door: ClickHouseHttp) -> None:
    import clickhouse_connect

    host, _, port = door.address.rpartition(":")
    client: Any = clickhouse_connect.get_client(host=host, port=int(port))
    try:
        result = client.query(
            "SELECT number AS n, toString(number) AS s, {name:String} AS p FROM numbers(3)", parameters={"name": "it's"}
        )
        assert result.column_names == ("n", "s", "p")
        assert result.result_rows == [(0, "0", "it's"), (1, "1", "it's"), (2, "2", "it's")]
        assert client.command("SELECT count() FROM otel_traces") == 0
    finally:
        client.close()


def test_an_error_carries_the_engines_code(door: ClickHouseHttp) -> None:
    reply = ask(door, "SELECT nothing FROM otel_traces")
    assert (reply.status, reply.headers["X-ClickHouse-Exception-Code"]) == (404, "47")
    assert ask(door, "SELECT (").status == 400


def test_only_loopback_hosts_are_answered(door: ClickHouseHttp) -> None:
    assert ask(door, "SELECT 1", {"Host": "evil.example:8123"}).status == 403
    assert ask(door, "SELECT 1", {"Host": "127.0.0.1.evil.example"}).status == 403
    assert ask(door, "SELECT 1", {"Host": "localhost:8123"}).status == 200


def test_what_a_web_page_may_have_sent_is_refused(door: ClickHouseHttp) -> None:
    assert ask(door, "SELECT 1", {"Origin": "http://evil.example"}).status == 403
    assert ask(door, "SELECT 1", {"Origin": "null"}).status == 403
    assert ask(door, "SELECT 1", {"Sec-Fetch-Site": "cross-site"}).status == 403


HOSTILE = [
    "SELECT file('SECRET')",
    "SELECT `file`('SECRET')",
    "SELECT fi/**/le('SECRET')",
    "SELECT file/**/('SECRET')",
    "SELECT \"fi\\x6ce\"('SECRET')",
    "SELECT * APPLY(file) FROM (SELECT 'SECRET' AS x)",
    "SELECT arrayMap(file, ['SECRET'])",
    "SELECT arrayMap(x -> file(x), ['SECRET'])",
    "SELECT /* /* */ ' */ file('SECRET') --'",
    "SELECT // '\n file('SECRET') -- '",
    "SELECT # '\n file('SECRET') -- '",
    "SELECT #! '\n file('SECRET') -- '",
    "SELECT \u2018 ' \u2019, file('SECRET') --'",
    "SELECT $a$ ' $a$, file('SECRET') --'",
    "WITH (SELECT file('SECRET')) AS x SELECT x",
    "DESCRIBE file('SECRET', LineAsString)",
    "DESCRIBE executable('id', 'TSV', 'a String')",
    "SELECT * FROM file('SECRET', LineAsString)",
    "SELECT * FROM (SELECT * FROM url('http://127.0.0.1:9/', LineAsString, 'l String'))",
    "SELECT * FROM s3('http://127.0.0.1:9/b/x')",
    "SELECT * FROM python(os)",
    "SELECT * FROM `SECRET`",
    "SELECT * FROM 'SECRET'",
    "SELECT * FROM default.`SECRET`",
    "DESCRIBE `SECRET`",
    "SELECT 1 INTO OUTFILE 'TARGET'",
    "SELECT 1 into/**/outfile 'TARGET' FORMAT CSV",
    "INSERT INTO policies (Tenant) VALUES ('x')",
    "WITH t AS (SELECT 1) INSERT INTO policies (Tenant) SELECT 'x'",
    "CREATE TABLE hostile (a Int8) ENGINE = File(CSV)",
    "DROP TABLE policies",
    "SYSTEM FLUSH LOGS",
    "SET readonly = 0",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 SETTINGS max_execution_time = 0",
    "SELECT 1; DROP TABLE policies",
    "SELECT 1 PARALLEL WITH DROP TABLE policies",
    "EXPLAIN SYNTAX INSERT INTO FUNCTION file('TARGET') SELECT 1",
]


@pytest.mark.parametrize("sql", HOSTILE)
def test_a_hostile_statement_neither_reads_nor_writes_a_file(door: ClickHouseHttp, tmp_path: Path, sql: str) -> None:
    secret, target = tmp_path / "secret.txt", tmp_path / "target.txt"
    secret.write_text("do-not-tell\n")
    reply = ask(door, sql.replace("SECRET", str(secret)).replace("TARGET", str(target)))
    assert reply.status == 400, reply.body
    assert b"do-not-tell" not in reply.body
    assert not target.exists()


def test_the_writer_writes_on_after_refusals_and_the_door_sees_it(door: ClickHouseHttp, store: Store) -> None:
    assert ask(door, "DROP TABLE policies").status == 400
    assert ask(door, "SELECT 1 SETTINGS readonly = 0").status == 400
    store.command("INSERT INTO policies (Tenant) VALUES ('written')")
    assert ask(door, "SELECT Tenant FROM policies").body == b"written\n"


def test_an_answer_that_is_too_long_is_refused(door: ClickHouseHttp) -> None:
    assert ask(door, "SELECT number FROM numbers(1000001)").status == 400
    assert ask(door, "SELECT repeat('x', 1000000) FROM numbers(1000)").status == 400
    assert ask(door, "SELECT 1").status == 200
