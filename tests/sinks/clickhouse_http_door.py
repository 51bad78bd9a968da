"""Asks the door over HTTP."""

from __future__ import annotations

import http.client
from urllib.parse import urlencode

from sinks.clickhouse_http import ClickHouseHttp


class Reply:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()


def ask(
    door: ClickHouseHttp, sql: str, headers: dict[str, str] | None = None, method: str = "POST", **options: str
) -> Reply:
    connection = http.client.HTTPConnection(door.address, timeout=60)
    try:
        connection.request(method, f"/?{urlencode(options)}", sql.encode(), headers or {})
        return Reply(connection.getresponse())
    finally:
        connection.close()
