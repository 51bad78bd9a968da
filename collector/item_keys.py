"""What the items of OTLP requests are called: the key that decides which partition each belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

NO_TRACE = bytes(16)
SESSION_KEYS = frozenset({"session.id", "gen_ai.conversation.id"})


def span_keys(request: Any) -> list[str | None]:
    """Key spans by trace id, in their order; None for one that has none. They are many, so ids are looked at once."""
    return trace_keys(
        [span.trace_id for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]
    )


def trace_keys(trace_ids: list[bytes]) -> list[str | None]:
    """Write trace ids as keys; None for what is none."""
    names = {trace_id: _trace_key(trace_id) for trace_id in set(trace_ids)}
    return [names[trace_id] for trace_id in trace_ids]


def log_keys(request: Any) -> list[str]:
    """Key log records by trace id, else by session; empty for one that has neither."""
    keys: list[str] = []
    for resource in request.resource_logs:
        session = _session(resource.resource.attributes)
        keys += [_log_key(record) or session for scope in resource.scope_logs for record in scope.log_records]
    return keys


def _trace_key(trace_id: bytes) -> str | None:
    return trace_id.hex() if len(trace_id) == len(NO_TRACE) and trace_id != NO_TRACE else None


def _log_key(record: Any) -> str:
    return _trace_key(record.trace_id) or _session(record.attributes)


def _session(attributes: Iterable[Any]) -> str:
    return next((str(one.value.string_value) for one in attributes if one.key in SESSION_KEYS), "")
