"""Whether and how a span failed. A status alone says little: instruments disagree on what it is for."""

from __future__ import annotations

from typing import Any

from collector.normalise.attributes import SpanView
from collector.normalise.unwrap import parsed, text_of
from schemas.step import ERROR_CAP, NAME_CAP

STATUS_ERROR = 2
ERROR_TYPE, TASK_STATUS = "error.type", "gen_ai.task.status"
OF_A_FAILURE = (ERROR_TYPE, TASK_STATUS)
"""Attributes that say that something failed."""
MARKS = ("isError", "is_error")
TEXTS = ("error", "message", "content", "text", "detail")


def failure_of(view: SpanView, told: bool, own: dict[str, Any], result: Any) -> tuple[str, str]:
    """Give error text and error class; both empty where nothing failed. `told`: it has one of `OF_A_FAILURE`."""
    kind, text = own.get("error_type"), own.get("error")
    if told:
        kind = kind or view.attributes.get(ERROR_TYPE)
    if view.events and (exception := view.event("exception")) is not None:
        kind = kind or exception.attributes.get("exception.type")
        text = text or exception.attributes.get("exception.message")
    status = view.span.status
    if status.code == STATUS_ERROR:
        text = text or status.message or "error"
    if told and view.attributes.get(TASK_STATUS) in ("error", "failure", "failed"):
        text = text or "failed"
    if not kind and not text:
        text = _marked(result) if result is not None else ""
    if not kind and not text:
        return "", ""
    return _one_line(text)[:ERROR_CAP], _class_name(kind)[:NAME_CAP]


def _marked(result: Any) -> str:
    """Read a failure that a tool's result marks as one in its structure, not in its words."""
    # A result is read already; only a JSON text in a JSON text still holds something.
    read = parsed(result) if isinstance(result, str) and result.lstrip()[:1] == '"' else result
    if not isinstance(read, dict):
        return ""
    if any(read.get(mark) is True for mark in MARKS) or read.get("status") in ("error", "failed"):
        return next((text_of(read[key]) for key in TEXTS if read.get(key)), "error")
    return ""


def _class_name(kind: Any) -> str:
    """Write `<class 'openai.RateLimitError'>` as `RateLimitError`."""
    text = text_of(kind).strip()
    if text.startswith("<class '") and text.endswith("'>"):
        text = text[8:-2]
    return text.rsplit(".", 1)[-1] if " " not in text else text


def _one_line(text: Any) -> str:
    """Cut a message before the traceback that some carry."""
    whole = text_of(text)
    return whole.split("Traceback (most recent call last)", 1)[0].strip() or whole.strip()
