"""A ClickHouse server's HTTP interface over chDB, for tests where no server can be run: `python chdb_server.py PATH`.

Every statement and every insert is executed by the engine. Of the interface it has what clients of a server use:
statement in URL and body, users, database, parameters and settings of the request, compressed bodies, `FORMAT`, error
codes in header and body, TLS. What chDB cannot do a server can: to make users and to spread statements over a cluster;
those say so with its own errors.
It prints its port, and serves until it is killed.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import re
import ssl
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import cramjam
from aiohttp import web

CONNECTIONS = 4
LARGEST_BODY = 512 * 1024 * 1024
OF_HTTP = frozenset(
    {
        "query", "database", "user", "password", "default_format", "query_id", "session_id", "wait_end_of_query",
        "client_protocol_version", "buffer_size", "compress", "decompress", "enable_http_compression", "role",
        "send_progress_in_http_headers", "http_headers_progress_interval_ms", "http_write_exception_in_output_format",
        "cancel_http_readonly_queries_on_client_close", "quota_key",
    }
)  # fmt: skip
"""Parameters that are the interface's; the others are settings of the engine."""
PARAMETER = "param_"
BRINGS_DATA = re.compile(rb"\A\s*INSERT\b.*?\bFORMAT\s+(\w+)[ \t]*\r?\n", re.DOTALL | re.IGNORECASE)
INPUT = re.compile(r"\binput\(('(?:[^'\\]|\\.)*')\)")
DEFAULT, ACCESS_DENIED = "default", 497
CODE = re.compile(r"Code: (\d+)\.")
STATUS = {47: 404, 60: 404, 81: 404, 62: 400, 36: 400, 6: 400, 27: 400, 516: 403, 194: 401, 497: 403}
VERSION = re.compile(rb"^\d+\.\d+\.\d+\.\d+\t")


class Wrong(Exception):  # noqa: N818  # named by what it is
    """An error with ClickHouse's code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Asked(NamedTuple):
    """What one request asks of the engine."""

    body: bytes
    database: str
    format: str
    parameters: dict[str, str]
    settings: dict[str, str]


class Engine:
    """One connection to chDB; asked by one thread at a time."""

    def __init__(self, path: str, config: str) -> None:
        chdb: Any = import_module("chdb")
        self._connection: Any = chdb.connect(f"{path}?config-file={config}" if config else path)

    def ask(self, asked: Asked) -> bytes:
        """Execute under the request's database and settings, which do not outlast it; raises Wrong."""
        try:
            self._use(asked.database)
            for name, value in asked.settings.items():
                self._run(f"SET {_quoted(name)} = {_literal(value)}")
            return self._execute(asked)
        finally:
            for name in asked.settings:
                self._connection.query(f"SET {_quoted(name)} = DEFAULT") if name.isidentifier() else None

    def _use(self, database: str) -> None:
        """Take a database; that of who names none is not asked about rights, as on a server."""
        try:
            self._run(f"USE {_quoted(database or DEFAULT)}")
        except Wrong as wrong:
            if database or wrong.code != ACCESS_DENIED:
                raise

    def _execute(self, asked: Asked) -> bytes:
        brings = BRINGS_DATA.match(asked.body)
        if brings is None:
            return self._run(asked.body.decode(), asked.format, asked.parameters)
        with tempfile.NamedTemporaryFile(suffix=".block") as file:
            file.write(asked.body[brings.end() :])
            file.flush()
            statement = asked.body[: brings.end()].decode()
            return self._run(_from_file(statement, file.name, brings[1].decode()), asked.format, asked.parameters)

    def _run(self, sql: str, wanted: str = "TabSeparated", parameters: dict[str, str] | None = None) -> bytes:
        try:
            return self._connection.query(sql, wanted, params=parameters or {}).bytes() or b""
        except Exception as error:
            found = CODE.search(str(error))
            raise Wrong(int(found[1]) if found else 1002, str(error)) from error


def _from_file(statement: str, path: str, kind: str) -> str:
    """Have the data that came behind a statement read from a file: chDB has no body to read."""
    head = re.sub(r"\bFORMAT\s+\w+\s*\Z", "", statement, flags=re.IGNORECASE).rstrip()
    if INPUT.search(head):
        return INPUT.sub(lambda found: f"file({_literal(path)}, {kind}, {found[1]})", head)
    return f"{head} FROM INFILE {_literal(path)} FORMAT {kind}"


class Server:
    """The interface. `users` are names with their passwords; `version` is said instead of the engine's, if any."""

    def __init__(self, path: str, users: dict[str, str], config: str = "", version: str = "") -> None:
        self._users = users
        self._version = version
        self._free: asyncio.Queue[Engine] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            self._free.put_nowait(Engine(path, config))

    def app(self) -> web.Application:
        """Make the application."""
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_get("/ping", self._ping)
        app.router.add_route("*", "/", self._handle)
        return app

    async def _ping(self, request: web.Request) -> web.Response:
        return web.Response(text="Ok.\n")

    async def _handle(self, request: web.Request) -> web.Response:
        try:
            self._let_in(request)
            asked = await _asked(request)
            engine = await self._free.get()
            try:
                answer = await asyncio.shield(asyncio.to_thread(engine.ask, asked))
            finally:
                self._free.put_nowait(engine)
        except Wrong as wrong:
            return _failed(wrong)
        if self._version and b"version()" in asked.body:
            answer = VERSION.sub(f"{self._version}\t".encode(), answer)
        return web.Response(body=answer, headers=_headers(asked.format))

    def _let_in(self, request: web.Request) -> None:
        user, password = _credentials(request)
        if self._users.get(user) != password:
            text = "Authentication failed: password is incorrect, or there is no user with such name."
            raise Wrong(516, f"Code: 516. DB::Exception: {user}: {text} (AUTHENTICATION_FAILED)")


async def _asked(request: web.Request) -> Asked:
    options = dict(request.query)
    body = _decompressed(await request.read(), request.headers.get("Content-Encoding", ""))
    if options.get("query"):
        body = options["query"].encode() + (b"\n" + body if body else b"")
    return Asked(
        body=body,
        database=options.get("database", ""),
        format=options.get("default_format", "TabSeparated"),
        parameters={
            name.removeprefix(PARAMETER): value for name, value in options.items() if name.startswith(PARAMETER)
        },
        settings={
            name: value for name, value in options.items() if name not in OF_HTTP and not name.startswith(PARAMETER)
        },
    )


def _decompressed(body: bytes, encoding: str) -> bytes:
    if encoding == "lz4":
        return bytes(cramjam.lz4.decompress(body))
    if encoding == "zstd":
        return bytes(cramjam.zstd.decompress(body))
    return body  # gzip and deflate are undone by aiohttp


def _credentials(request: web.Request) -> tuple[str, str]:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        user, _, password = base64.b64decode(given).decode().partition(":")
        return user, password
    if "X-ClickHouse-User" in request.headers:
        return request.headers["X-ClickHouse-User"], request.headers.get("X-ClickHouse-Key", "")
    return request.query.get("user", "default"), request.query.get("password", "")


def _failed(wrong: Wrong) -> web.Response:
    headers = {"X-ClickHouse-Exception-Code": str(wrong.code)}
    return web.Response(status=STATUS.get(wrong.code, 500), text=f"{wrong}\n", headers=headers)


def _headers(wanted: str) -> dict[str, str]:
    return {"X-ClickHouse-Format": wanted, "X-ClickHouse-Timezone": "UTC", "X-ClickHouse-Summary": "{}"}


def _quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


async def _serve(arguments: argparse.Namespace) -> None:
    users = dict(one.split(":", 1) for one in arguments.user or ["default:"])
    runner = web.AppRunner(Server(arguments.path, users, arguments.config, arguments.version).app(), access_log=None)
    await runner.setup()
    context = None
    if arguments.cert:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(arguments.cert)
    site = web.TCPSite(runner, "127.0.0.1", arguments.port, ssl_context=context)
    await site.start()
    server: Any = site._server
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main() -> None:
    """Serve what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=lambda text: str(Path(text).resolve()))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--user", action="append", help="name:password")
    parser.add_argument("--cert", help="a PEM file of certificate and key")
    parser.add_argument("--config", default="", help="a configuration file of ClickHouse's: clusters, volumes, macros")
    parser.add_argument("--version", default="", help="what the server says it is")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
