"""A local HTTP server that speaks the Messages API, and models that answer by a script.

What it is sent is recorded, what it would bill is added up. A script sees a request's body and says what comes back.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

FENCE = '<data-{nonce} id="([^"]*)"[^>\n]*>\n(.*?)\n</data-{nonce}>'


class Reply(NamedTuple):
    """What comes back: after a while, a status, headers and a body; `cut` closes the connection without one."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}  # noqa: RUF012  # never changed
    wait_seconds: float = 0.0
    cut: bool = False


Script = Callable[[dict[str, Any]], Reply]


class MessagesServer:
    """The server, on a free port of this machine until `close`."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.billed: list[dict[str, Any]] = []
        """Model and usage of each reply that was sent whole."""
        self.batches: dict[str, list[dict[str, Any]]] = {}
        """Requests of each batch, with their ids."""
        self.looks = 0
        self.looks_until_ended = 2
        """How often batches were looked at, and how often they have to be."""
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, body: dict[str, Any], headers: dict[str, str]) -> Reply:
        """Record a request and ask the script."""
        with self._lock:
            self.requests.append(body)
            self.headers.append(headers)
        reply = self.script(body)
        with self._lock:
            if reply.status == 200:
                self.billed.append({"model": body["model"], **_usage_in(reply.body)})
        return reply

    def hand_in(self, body: dict[str, Any]) -> dict[str, Any]:
        """Take a batch in."""
        with self._lock:
            name = f"msgbatch_{len(self.batches)}"
            self.batches[name] = body["requests"]
        return self.batch(name)

    def batch(self, name: str) -> dict[str, Any]:
        """Say how far a batch is."""
        with self._lock:
            ended = self.looks >= self.looks_until_ended
        moment = "2026-11-26T00:00:00Z"
        return {
            "id": name,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "created_at": moment,
            "expires_at": moment,
            "request_counts": {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
            "results_url": f"{self.url}/v1/messages/batches/{name}/results" if ended else None,
        }

    def results(self, name: str) -> bytes:
        """Answer each request of a batch by the script, in a line of its own."""
        return b"\n".join(self._result(one) for one in reversed(self.batches[name]))

    def _result(self, one: dict[str, Any]) -> bytes:
        reply = self.answer(one["params"], {})
        body = json.loads(reply.body)
        result = {"type": "succeeded", "message": body} if reply.status == 200 else {"type": "errored", "error": body}
        return json.dumps({"custom_id": one["custom_id"], "result": result}).encode()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: MessagesServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:  # the name that http.server asks for
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/v1/messages/batches":
            self._send(Reply(200, json.dumps(self.owner.hand_in(body)).encode()))
            return
        if self.path != "/v1/messages":
            self.send_error(404)
            return
        reply = self.owner.answer(body, {name.lower(): value for name, value in self.headers.items()})
        time.sleep(reply.wait_seconds)
        if reply.cut:
            self.close_connection = True
            return
        self._send(reply)

    def do_GET(self) -> None:  # as above
        name, _, rest = self.path.removeprefix("/v1/messages/batches/").partition("/")
        if rest == "results":
            self._send(Reply(200, self.owner.results(name), {"content-type": "application/x-jsonl"}))
            return
        self.owner.looks += 1
        self._send(Reply(200, json.dumps(self.owner.batch(name)).encode()))

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in {"content-type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name that http.server uses
        """Say nothing."""


def _usage_in(body: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(body).get("usage") or {})
    except (ValueError, AttributeError):
        return {}


def message(model: str, content: list[dict[str, Any]], stop_reason: str = "tool_use", /, **usage: int) -> Reply:
    """Write a reply as the API does."""
    counted = {"input_tokens": 1000, "output_tokens": 100, **usage}
    body = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": counted,
    }
    return Reply(200, json.dumps(body).encode())


def verdict(body: dict[str, Any], answer: str, confidence: float, quotes: list[tuple[str, str]], **usage: int) -> Reply:
    """Answer with the tool that the request brings."""
    given = {
        "answer": answer,
        "confidence": confidence,
        "evidence": [{"id": label, "quote": quote} for label, quote in quotes],
        "reason": "As the passages show.",
    }
    name = body["tools"][0]["name"]
    return message(body["model"], [{"type": "tool_use", "id": "toolu_1", "name": name, "input": given}], **usage)


def error(status: int, kind: str = "error", **headers: str) -> Reply:
    """Refuse as the API does."""
    body = {"type": "error", "error": {"type": kind, "message": f"{kind} for a test"}}
    return Reply(status, json.dumps(body).encode(), {name.replace("_", "-"): value for name, value in headers.items()})


def asked(body: dict[str, Any]) -> str:
    """Give what the user message says."""
    return str(body["messages"][0]["content"])


def pieces(body: dict[str, Any]) -> dict[str, str]:
    """Read the fenced pieces as a careful reader does: by the nonce of the first line."""
    text = asked(body)
    nonce = text.splitlines()[0].split()[-1].rstrip(".")
    return dict(re.findall(FENCE.format(nonce=nonce), text, re.DOTALL))


def outside(body: dict[str, Any]) -> str:
    """Give all that is said to the model and not fenced off as data."""
    text = asked(body)
    nonce = text.splitlines()[0].split()[-1].rstrip(".")
    free = re.sub(FENCE.format(nonce=nonce), "", text, flags=re.DOTALL)
    return "\n".join([*(block["text"] for block in body["system"]), free])


def quote_of(body: dict[str, Any], label: str = "s1") -> list[tuple[str, str]]:
    """Copy a passage out of a piece, so that an answer counts."""
    return [(label, pieces(body)[label].splitlines()[-1][:40])]


def always(answer: str, confidence: float, **usage: int) -> Script:
    """Answer the same to everything, with a quotation that holds."""
    return lambda body: verdict(body, answer, confidence, quote_of(body), **usage)
