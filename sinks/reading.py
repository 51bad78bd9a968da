"""What the command line reads from the store: the same queries over the embedded store, its HTTP door, or a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

ROWS = 100_000


Query = Callable[[str, dict[str, Any]], Iterator[dict[str, Any]]]
"""Asks a store, with bound parameters; gives rows by column name."""


def detections(
    query: Query,
    since_ns: int = 0,
    trace_id: str = "",
    kind: str = "",
    all_versions: bool = False,
    after_ns: int = 0,
) -> list[dict[str, Any]]:
    """Read detections: the latest version of each that was not withdrawn, or every version, oldest first.

    `since_ns` bounds when the latest version was told, `after_ns` (exclusive) serves to follow.
    """
    source = "detections FINAL" if all_versions else "detections_latest"
    wanted = ["toUnixTimestamp64Nano(DetectedAt) >= {since:Int64}", "toUnixTimestamp64Nano(DetectedAt) > {after:Int64}"]
    if trace_id:
        wanted.append("TraceId = {trace:String}")
    if kind:
        wanted.append("Type = {kind:String}")
    if not all_versions:
        wanted.append("Status != 'withdrawn'")
    order = "Version, Id" if all_versions else "EventTime, Id"
    sql = f"SELECT Json FROM {source} WHERE {' AND '.join(wanted)} ORDER BY {order} LIMIT {ROWS}"  # noqa: S608  # bound
    parameters = {"since": since_ns, "after": after_ns or -1, "trace": trace_id.lower(), "kind": kind}
    return [orjson.loads(row["Json"]) for row in query(sql, parameters)]


def runs(query: Query, limit: int = 50) -> list[dict[str, Any]]:
    """Read the newest runs with what was found in them."""
    sql = (
        "SELECT r.*, d.Found AS Detections FROM runs AS r LEFT JOIN "
        "(SELECT Tenant, RunId, groupArray(Type) AS Found FROM detections_latest WHERE Status != 'withdrawn' "
        "GROUP BY Tenant, RunId) AS d ON r.Tenant = d.Tenant AND r.RunId = d.RunId "
        "ORDER BY r.Started DESC LIMIT {limit:UInt32}"
    )
    return [_short_names(row) for row in query(sql, {"limit": limit})]


def approvals(query: Query) -> list[dict[str, Any]]:
    """Read every approval event, oldest first."""
    return _documents(query, "SELECT Json FROM approvals FINAL ORDER BY At, Event")


def healing(query: Query) -> list[dict[str, Any]]:
    """Read what became of fixes, oldest first."""
    return _documents(query, "SELECT Json FROM healing FINAL ORDER BY At, Event")


def policies(query: Query) -> list[dict[str, Any]]:
    """Read the policies in force."""
    return _documents(query, "SELECT Json FROM policies FINAL ORDER BY Tenant, Service, Agent")


def _documents(query: Query, sql: str) -> list[dict[str, Any]]:
    return [orjson.loads(row["Json"]) for row in query(sql, {})]


def _short_names(row: dict[str, Any]) -> dict[str, Any]:
    return {name.rsplit(".", 1)[-1]: value for name, value in row.items()}


def waiting(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """List the questions that nobody has answered and that have not expired: those whose latest event asks."""
    latest = {event["healing_id"]: event for event in events}
    return [event for event in latest.values() if event["event"] == "requested"]
