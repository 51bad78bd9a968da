"""A small read-only ClickHouse HTTP door to the embedded store: what `curl`, clickhouse-connect and Grafana speak.

Statements are checked first (`statements.py`) and then asked on connections of its own (`readonly_store.py`).
Only loopback hosts are answered, and nothing that a web page may have sent.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl
from uuid import uuid4

from aiohttp import web

from sinks.native_blocks import UnknownType, for_protocol
from sinks.readonly_store import Answer, EngineError, ReadOnlyStore
from sinks.statements import LONGEST, Question, Refused, check

DEFAULT_FORMAT = "TabSeparated"
CONNECTIONS = 2
WAITING = 32
"""Questions that may wait for a connection; beyond it they are refused."""
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", ""})
PARAMETER = "param_"
FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/"
NATIVE = "Native"
NOT_IMPLEMENTED, READONLY, TOO_MANY_QUERIES = 48, 164, 202
NOT_FOUND = frozenset({46, 47, 60, 73, 81})
"""Codes of a function, column, table, format or database that does not exist."""
CONTENT_TYPES = (
    ("JSONEachRow", "application/x-ndjson; charset=UTF-8"),
    ("JSON", "application/json; charset=UTF-8"),
    ("CSV", "text/csv; charset=UTF-8"),
    ("TabSeparated", "text/tab-separated-values; charset=UTF-8"),
    ("TSV", "text/tab-separated-values; charset=UTF-8"),
    (NATIVE, "application/octet-stream"),
    ("RowBinary", "application/octet-stream"),
)


class Asked(NamedTuple):
    """What a request asks: the statement, its parameters, the format where it names none, and the client's protocol."""

    sql: str
    parameters: dict[str, str]
    format: str
    protocol: int


class ClickHouseHttp:
    """The door. `address` is the bound one once started."""

    name = "clickhouse http"

    def __init__(self, endpoint: str, dsn: str) -> None:
        host, _, port = endpoint.rpartition(":")
        self._host = host.strip("[]") or "127.0.0.1"
        self._port = int(port)
        self._dsn = dsn
        self._free: asyncio.Queue[ReadOnlyStore] = asyncio.Queue()
        self._stores: list[ReadOnlyStore] = []
        self._waiting = 0
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        """Say where it is."""
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    async def start(self) -> None:
        """Open the connections and serve; raises OSError where the address is taken."""
        for _ in range(CONNECTIONS):
            store = await asyncio.to_thread(ReadOnlyStore, self._dsn)
            self._stores.append(store)
            self._free.put_nowait(store)
        app = web.Application(client_max_size=LONGEST * 2)
        app.router.add_get("/ping", self._ping)
        app.router.add_route("*", "/", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        listener = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self._host, self._port))
        self._port = listener.getsockname()[1]
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        """Stop serving and close the connections."""
        if self._runner is not None:
            await self._runner.cleanup()
        for store in self._stores:
            await asyncio.to_thread(store.close)
        self._stores.clear()

    async def _ping(self, request: web.Request) -> web.Response:
        return _refusal(request) or web.Response(text="Ok.\n")

    async def _handle(self, request: web.Request) -> web.Response:
        refusal = _refusal(request)
        if refusal is not None:
            return refusal
        asked = await _asked(request)
        if not asked.sql.strip():
            return web.Response(text="Ok.\n")
        return await self._answer(asked, request.query.get("query_id", "")[:64] or str(uuid4()))

    async def _answer(self, asked: Asked, query_id: str) -> web.Response:
        try:
            question = self._check(asked.sql)
            wanted = question.format or asked.format
            if not wanted.isalnum() or not wanted.isascii():
                raise Refused("a format is a name")
        except Refused as refused:
            return _failed(400, READONLY, f"{refused}. (READONLY)")
        if self._waiting >= WAITING:
            return _failed(503, TOO_MANY_QUERIES, "too many questions wait. (TOO_MANY_SIMULTANEOUS_QUERIES)")
        self._waiting += 1
        try:
            answer = await self._ask(f"{question.sql}\nFORMAT {wanted}", asked.parameters)
            if wanted == NATIVE:
                answer = answer._replace(data=await asyncio.to_thread(for_protocol, answer.data, asked.protocol))
        except EngineError as error:
            return _failed(404 if error.code in NOT_FOUND else 400, error.code, error.text)
        except UnknownType as error:
            return _failed(501, NOT_IMPLEMENTED, f"{error}. (NOT_IMPLEMENTED)")
        finally:
            self._waiting -= 1
        return web.Response(body=answer.data, headers=_headers(wanted, answer, query_id))

    def _check(self, sql: str) -> Question:
        return check(sql, self._stores[0].table_functions, self._stores[0].reaching_functions)

    async def _ask(self, sql: str, parameters: Mapping[str, str]) -> Answer:
        store = await self._free.get()
        asking = asyncio.ensure_future(asyncio.to_thread(store.ask, sql, parameters))
        asking.add_done_callback(lambda _done: self._free.put_nowait(store))  # also where the client has left
        return await asyncio.shield(asking)


def _refusal(request: web.Request) -> web.Response | None:
    """Refuse what did not come from a program on this machine, or may have come from a web page."""
    if _host(request) not in LOOPBACK:
        return web.Response(status=403, text="only loopback hosts are answered\n")
    if "Origin" in request.headers or request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return web.Response(status=403, text="cross-origin requests are refused\n")
    if request.method not in ("GET", "POST", "HEAD"):
        return web.Response(status=405, text="use GET or POST\n", headers={"Allow": "GET, HEAD, POST"})
    return None


async def _asked(request: web.Request) -> Asked:
    """Read the statement from URL and body: the body goes on where the URL ends, as ClickHouse has it."""
    options = dict(request.query)
    body = ""
    if request.content_type.startswith(MULTIPART):
        options |= {name: str(value) for name, value in (await request.post()).items()}
    else:
        body = (await request.read()).decode("utf-8", "replace")
        if request.content_type == FORM and body.startswith(("query=", PARAMETER)):  # curl -d says it sends a form
            options |= dict(parse_qsl(body))
            body = ""
    sql = "\n".join(part for part in (options.get("query", ""), body) if part)
    parameters = {key.removeprefix(PARAMETER): value for key, value in options.items() if key.startswith(PARAMETER)}
    wanted = request.headers.get("X-ClickHouse-Format") or options.get("default_format") or DEFAULT_FORMAT
    protocol = options.get("client_protocol_version", "")
    return Asked(sql, parameters, wanted, int(protocol) if protocol.isdecimal() and len(protocol) < 10 else 0)


def _host(request: web.Request) -> str:
    host = request.headers.get("Host", "").lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _headers(wanted: str, answer: Answer, query_id: str) -> dict[str, str]:
    content = next((kind for name, kind in CONTENT_TYPES if wanted.startswith(name)), "text/plain; charset=UTF-8")
    return {
        "Content-Type": content,
        "X-ClickHouse-Format": wanted,
        "X-ClickHouse-Timezone": answer.timezone,
        "X-ClickHouse-Server-Display-Name": "tracemend",
        "X-ClickHouse-Query-Id": "".join(char for char in query_id if char.isalnum() or char == "-"),
        "X-ClickHouse-Summary": f'{{"read_rows":"{answer.rows_read}","read_bytes":"{answer.bytes_read}"}}',
    }


def _failed(status: int, code: int, message: str) -> web.Response:
    text = message if message.startswith("Code:") else f"Code: {code}. DB::Exception: {message}"
    return web.Response(status=status, text=f"{text}\n", headers={"X-ClickHouse-Exception-Code": str(code)})
