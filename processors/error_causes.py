"""Why something failed, read from an error's class and text, whatever library, provider or protocol it came from."""

from __future__ import annotations

from typing import NamedTuple

from schemas.step import ERROR_CAP

TIMEOUT = "timeout"
RATE_LIMIT = "rate_limit"
AUTH = "auth"
PERMISSION = "permission"
INVALID_ARGUMENTS = "invalid_arguments"
NOT_FOUND = "not_found"
NETWORK = "network"
SERVER = "server"
UNKNOWN = "unknown"
CONTROL_FLOW = "control_flow"
"""No failure: a framework unwinds the stack by an exception to pause, hand over or cancel."""

TRANSIENT = frozenset({TIMEOUT, RATE_LIMIT, NETWORK, SERVER})
"""Causes that may be gone the next time; for the others trying the same again cannot help."""


class Signs(NamedTuple):
    """What speaks for a cause: parts of a class name (compared without `_`), words of the text, HTTP statuses."""

    cause: str
    classes: tuple[str, ...]
    words: tuple[str, ...]
    statuses: tuple[str, ...] = ()


TABLE = (
    Signs(
        RATE_LIMIT,
        ("ratelimit", "toomanyrequests", "throttl", "quotaexceeded", "resourceexhausted"),
        ("rate limit", "too many requests", "throttl", "quota exceeded", "exceeded your current quota"),
        ("429",),
    ),
    Signs(
        TIMEOUT,
        ("timeout", "timedout", "deadlineexceeded"),
        ("timed out", "timeout", "time out", "deadline exceeded", "took too long"),
        ("408", "504"),
    ),
    Signs(
        AUTH,
        ("authentication", "unauthorized", "unauthenticated", "invalidtoken", "expiredtoken", "credential"),
        ("unauthorized", "unauthenticated", "authentication failed", "invalid api key", "token expired", "credentials"),
        ("401",),
    ),
    Signs(
        PERMISSION,
        ("permission", "forbidden", "accessdenied"),
        ("permission denied", "forbidden", "access denied", "not allowed to", "not permitted", "not authorized"),
        ("403",),
    ),
    Signs(
        NETWORK,
        ("connection", "connecterror", "dnserror", "gaierror", "sslerror", "brokenpipe", "unavailable", "networkerror"),
        (
            "connection refused",
            "connection reset",
            "connection error",
            "connection aborted",
            "could not connect",
            "failed to connect",
            "name resolution",
            "name or service not known",
            "network is unreachable",
            "no route to host",
            "econnrefused",
            "econnreset",
            "enotfound",
            "fetch failed",
            "socket hang up",
        ),
    ),
    Signs(
        INVALID_ARGUMENTS,
        (
            "validation",
            "schema",
            "invalidargument",
            "invalidparam",
            "toolargument",
            "typeerror",
            "jsondecode",
            "keyerror",
        ),
        (
            "validation error",
            "invalid argument",
            "invalid parameter",
            "invalid params",
            "missing required",
            "required property",
            "required parameter",
            "unexpected keyword argument",
            "missing 1 required",
            "does not match the schema",
            "schema validation",
            "unprocessable",
            "field required",
            "bad request",
            "-32602",
        ),
        ("400", "422"),
    ),
    Signs(
        NOT_FOUND,
        ("notfound", "nosuch", "doesnotexist", "lookuperror"),
        ("not found", "no such", "does not exist", "doesn't exist", "unknown tool", "-32601"),
        ("404", "410"),
    ),
    Signs(
        SERVER,
        ("internalserver", "servererror", "serviceunavailable", "badgateway", "overloaded"),
        ("internal server error", "service unavailable", "bad gateway", "overloaded", "server error", "-32603"),
        ("500", "502", "503", "529"),
    ),
)
"""In this order: what is told more precisely comes first."""

CONTROL_FLOW_CLASSES = frozenset(
    {
        "agentinterrupt",
        "approvalrequired",
        "calldeferred",
        "cancellederror",
        "commandinterrupt",
        "generatorexit",
        "graphbubbleup",
        "graphinterrupt",
        "nodeinterrupt",
        "parentcommand",
        "stopasynciteration",
        "stopiteration",
    }
)
"""Exceptions by which asyncio, LangGraph and pydantic-ai steer; compared without `_`."""

STATUS_MARKS = ("status", "http", "error code", "code:", "code=", "response [", "returned", "responded", "answered")
"""Words next to which a three-digit number is an HTTP status, not a figure."""


def error_class(error_type: str, error: str) -> str:
    """Name the exception's class in lower case without module path and `_`; empty where none is named."""
    name = error_type or _leading_class(error)
    name = name.strip("<>' ").removeprefix("class '")
    return name.rsplit(".", 1)[-1].replace("_", "").lower()


def cause_of(error_type: str, error: str) -> str:
    """Classify a failure; UNKNOWN where nothing speaks for a cause."""
    name = error_class(error_type, error)
    if name in CONTROL_FLOW_CLASSES:
        return CONTROL_FLOW
    text = error[:ERROR_CAP].lower()
    by_class = next((signs.cause for signs in TABLE if any(part in name for part in signs.classes)), None)
    return by_class or _by_status(name, text) or _by_words(text)


def _by_words(text: str) -> str:
    return next((signs.cause for signs in TABLE if any(word in text for word in signs.words)), UNKNOWN)


def _by_status(name: str, text: str) -> str | None:
    """Read an HTTP status: the class is one (`error.type` may be), or the text says it is one."""
    if name.isdigit():
        return next((signs.cause for signs in TABLE if name in signs.statuses), None)
    if not any(mark in text for mark in STATUS_MARKS):
        return None
    numbers = {word.strip(".,:;()[]{}\"'<>=") for word in text.replace("=", " ").split()}
    return next((signs.cause for signs in TABLE if not numbers.isdisjoint(signs.statuses)), None)


def _leading_class(error: str) -> str:
    """Take `SomeError` from `module.SomeError: what happened`."""
    head, colon, _ = error[:120].partition(":")
    head = head.strip()
    is_class = bool(colon) and head.replace(".", "").replace("_", "").isalnum() and " " not in head
    return head if is_class and head.rsplit(".", 1)[-1][:1].isupper() else ""
