"""A small read-only ClickHouse HTTP door to the embedded store: what `curl`, clickhouse-connect and Grafana speak.

It has a connection of its own, read-only for good, with limits of time, rows and memory set before that; statements
are checked first (`statements.py`). Only loopback hosts are answered, and nothing a web page may have sent.
"""

from __future__ import annotations

import asyncio
import re
import socket
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from sinks.statements import LONGEST, Refused, check

LIMITS = {"max_execution_time": 30, "max_memory_usage": 2_000_000_000, "max_result_rows": 1_000_000, "max_threads": 2}
DEFAULT_FORMAT = "TabSeparated"
WAITING = 32
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", ""})
CODE = re.compile(r"Code: (\d{1,6})")
READONLY_CODE = 164
PARAMETER = "param_"


class ClickHouseHttp:
    """The door. `address` is the bound one once started."""

    name = "clickhouse http"

    def __init__(self, endpoint: str, dsn: str) -> None:
        self._host, _, port = endpoint.rpartition(":")
        self._port = int(port)
        self._dsn = dsn
        self._client: Any = None
        self._table_functions: frozenset[str] = frozenset()
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        """Say where it is."""
        return f"{self._host or '127.0.0.1'}:{self._port}"

    async def start(self) -> None:
        """Open the connection and serve; raises OSError where the address is taken."""
        await asyncio.to_thread(self._open)
        app = web.Application(client_max_size=LONGEST * 2)
        app.router.add_get("/ping", self._ping)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        listener = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self._host.strip("[]") or "127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        """Stop serving and close the connection."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._client is not None:
            await asyncio.to_thread(self._client.close)

    def _open(self) -> None:
        import clickhouse_connect

        self._client = clickhouse_connect.get_client(dsn=self._dsn)
        rows = self._client.query("SELECT lower(name) FROM system.table_functions").result_rows
        self._table_functions = frozenset(name for (name,) in rows)
        limits = ", ".join(f"{name} = {value}" for name, value in LIMITS.items())
        self._client.command(f"SET {limits}")
        self._client.command("SET readonly = 1")

    async def _ping(self, _request: web.Request) -> web.Response:
        return web.Response(text="Ok.\n")

    async def _handle(self, request: web.Request) -> web.Response:
        if _host(request) not in LOOPBACK:
            return web.Response(status=403, text="only loopback hosts are answered\n")
        if request.headers.get("Origin") or request.headers.get("Sec-Fetch-Site", "none") not in (
            "none",
            "same-origin",
        ):
            return web.Response(status=403, text="cross-origin requests are refused\n")
        if request.method not in ("GET", "POST", "HEAD"):
            return web.Response(status=405, text="use GET or POST\n", headers={"Allow": "GET, POST"})
        sql, parameters, wanted = await self._question(request)
        if not sql.strip():
            return web.Response(text="Ok.\n")
        return await self._answer(sql, parameters, wanted)

    async def _question(self, request: web.Request) -> tuple[str, dict[str, str], str]:
        """Read the statement from URL and body, its parameters, and the format asked for."""
        options = dict(request.query)
        body = (await request.read()).decode("utf-8", "replace")
        if request.content_type == "application/x-www-form-urlencoded" and "query=" in body[:4_096]:
            options |= dict(parse_qsl(body))
            body = ""
        elif request.content_type.startswith("multipart/"):
            form = await request.post()
            options |= {name: str(value) for name, value in form.items()}
            body = ""
        sql = "\n".join(part for part in (options.get("query", ""), body) if part)
        parameters = {key.removeprefix(PARAMETER): value for key, value in options.items() if key.startswith(PARAMETER)}
        wanted = request.headers.get("X-ClickHouse-Format") or options.get("default_format") or DEFAULT_FORMAT
        return sql, parameters, wanted

    async def _answer(self, sql: str, parameters: dict[str, str], wanted: str) -> web.Response:
        try:
            question = check(sql, self._table_functions)
        except Refused as refused:
            return _failed(400, READONLY_CODE, f"Code: {READONLY_CODE}. DB::Exception: {refused}. (READONLY)")
        if self._waiting >= WAITING:
            return _failed(503, 202, "Code: 202. DB::Exception: too many queries wait. (TOO_MANY_SIMULTANEOUS_QUERIES)")
        self._waiting += 1
        try:
            async with self._one_at_a_time:
                data = await asyncio.to_thread(self._ask, question.sql, question.format or wanted, parameters)
        except Exception as error:  # noqa: BLE001  # whatever the engine says goes to who asked, as ClickHouse does
            found = CODE.search(str(error))
            return _failed(400, int(found[1]) if found else 1000, str(error)[:4_096])
        finally:
            self._waiting -= 1
        return web.Response(body=data, headers=_headers(question.format or wanted))

    def _ask(self, sql: str, wanted: str, parameters: dict[str, str]) -> bytes:
        if not wanted.isalnum():
            raise Refused(f"unknown format {wanted[:64]!r}")
        return bytes(self._client.raw_query(sql, parameters=parameters or None, fmt=wanted))


def _host(request: web.Request) -> str:
    host = request.headers.get("Host", "")
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and ":" in host else host


def _headers(wanted: str) -> dict[str, str]:
    return {
        "Content-Type": "application/json" if wanted.startswith("JSON") else "text/plain; charset=UTF-8",
        "X-ClickHouse-Format": wanted,
        "X-ClickHouse-Timezone": "UTC",
        "X-ClickHouse-Server-Display-Name": "tracemend",
        "X-ClickHouse-Summary": "{}",
    }


def _failed(status: int, code: int, message: str) -> web.Response:
    return web.Response(status=status, text=message + "\n", headers={"X-ClickHouse-Exception-Code": str(code)})
