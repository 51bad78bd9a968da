"""What the command line reads from the store: the same queries over the embedded store, its HTTP door, or a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from schemas.people import Feedback, Threshold, read_feedback, read_threshold
from schemas.step import Step
from sinks.step_rows import read_step

PAGE = 20_000
"""Rows asked for at a time: an answer of the door is bounded."""
STEPS_AT_ONCE, NAMED_AT_ONCE = 500, 5
"""The same for rows with texts in them; and runs that are listed where an id is not the beginning of one alone."""


Query = Callable[[str, dict[str, Any]], Iterator[dict[str, Any]]]
"""Asks a store, with bound parameters; gives rows by column name."""


def detections(
    query: Query,
    since_ns: int = 0,
    trace_id: str = "",
    kind: str = "",
    all_versions: bool = False,
    after_ns: int = -1,
) -> list[dict[str, Any]]:
    """Read detections: the latest version of each that was not withdrawn, or every version, oldest first.

    `since_ns` bounds when the version was told, `after_ns` (exclusive) serves to follow.
    """
    source = "detections FINAL" if all_versions else "detections_latest"
    wanted = ["toUnixTimestamp64Nano(DetectedAt) >= {since:Int64}", "toUnixTimestamp64Nano(DetectedAt) > {after:Int64}"]
    if trace_id:
        wanted.append("TraceId = {trace:String}")
    if kind:
        wanted.append("Type = {kind:String}")
    if not all_versions:
        wanted.append("Status != 'withdrawn'")
    parameters = {"since": since_ns, "after": after_ns, "trace": trace_id.lower(), "kind": kind}
    return list(_paged_detections(query, source, wanted, parameters))


def _paged_detections(
    query: Query, source: str, wanted: Sequence[str], parameters: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Page by what is ordered by, so that versions written in between neither shift nor repeat anything."""
    place = "(toUnixTimestamp64Nano(DetectedAt), Tenant, Id, Version)"
    sql = (
        "SELECT toUnixTimestamp64Nano(DetectedAt) AS At, Tenant, Id, Version, Json "  # noqa: S608  # values are bound
        f"FROM {source} WHERE {' AND '.join(wanted)} "
        f"AND {place} > ({{at:Int64}}, {{tenant:String}}, {{id:String}}, {{version:UInt64}}) "
        f"ORDER BY {place} LIMIT {PAGE}"
    )
    last: dict[str, Any] = {"At": -1, "Tenant": "", "Id": "", "Version": 0}
    while True:
        after = {"at": last["At"], "tenant": last["Tenant"], "id": last["Id"], "version": last["Version"]}
        rows = list(query(sql, {**parameters, **after}))
        yield from (orjson.loads(row["Json"]) for row in rows)
        if len(rows) < PAGE:
            return
        last = rows[-1]


def runs(query: Query, limit: int = 50) -> list[dict[str, Any]]:
    """Read the newest runs with what was found in them; times are RFC 3339 UTC."""
    moment = "concat(formatDateTime(r.{0}, '%FT%T', 'UTC'), 'Z') AS {0}"
    sql = (
        f"SELECT r.* EXCEPT (Started, Ended), {moment.format('Started')}, {moment.format('Ended')}, "  # noqa: S608
        "d.Found AS Detections FROM runs AS r LEFT JOIN "
        "(SELECT Tenant, RunId, groupArray(Type) AS Found FROM detections_latest WHERE Status != 'withdrawn' "
        "GROUP BY Tenant, RunId) AS d ON r.Tenant = d.Tenant AND r.RunId = d.RunId "
        "ORDER BY r.Started DESC, r.RunId LIMIT {limit:UInt32}"
    )
    return [_short_names(row) for row in query(sql, {"limit": limit})]


def steps(query: Query, tenant: str, run_id: str) -> Iterator[Step]:
    """Read a run's steps in order: the latest revision of each, without those taken back."""
    sql = (
        "SELECT * EXCEPT (Start), toUnixTimestamp64Nano(s.Start) AS Start FROM agent_steps AS s FINAL "  # noqa: S608
        "WHERE NOT Retracted AND Tenant = {tenant:String} AND RunId = {run:String} "
        "AND (toUnixTimestamp64Nano(s.Start), SpanId) > ({after:Int64}, {span:String}) "
        f"ORDER BY s.Start, SpanId LIMIT {STEPS_AT_ONCE}"
    )
    after, span = -1, ""
    while True:
        rows = list(query(sql, {"tenant": tenant, "run": run_id, "after": after, "span": span}))
        yield from map(read_step, rows)
        if len(rows) < STEPS_AT_ONCE:
            return
        after, span = int(rows[-1]["Start"]), rows[-1]["SpanId"]


def runs_named(query: Query, beginning: str) -> list[tuple[str, str]]:
    """Find the runs whose id, or the id of one of whose traces, begins so: (tenant, run id), a few at most."""
    sql = (
        "SELECT Tenant, RunId FROM agent_steps "  # noqa: S608  # values are bound
        "WHERE startsWith(RunId, {id:String}) OR startsWith(TraceId, {id:String}) "
        f"GROUP BY Tenant, RunId ORDER BY max(Start) DESC LIMIT {NAMED_AT_ONCE}"
    )
    return [(row["Tenant"], row["RunId"]) for row in query(sql, {"id": beginning})]


def diagnosis(query: Query, tenant: str, run_id: str) -> dict[str, Any] | None:
    """Read what was last told of a run that ended; None where it goes on."""
    sql = "SELECT Json FROM run_summaries FINAL WHERE Tenant = {tenant:String} AND RunId = {run:String}"
    found = [orjson.loads(row["Json"]) for row in query(sql, {"tenant": tenant, "run": run_id})]
    return max(found, key=lambda document: document["version"], default=None)


def diagnoses(query: Query, since_ns: int = 0) -> Iterator[dict[str, Any]]:
    """Read what was last told of each run that began since, oldest first."""
    place = "(toUnixTimestamp64Nano(s.Started), Tenant, RunId)"
    sql = (
        "SELECT toUnixTimestamp64Nano(s.Started) AS At, Tenant, RunId, Json FROM run_summaries AS s FINAL "  # noqa: S608
        f"WHERE {place} > ({{at:Int64}}, {{tenant:String}}, {{run:String}}) ORDER BY {place} LIMIT {STEPS_AT_ONCE}"
    )
    last: dict[str, Any] = {"At": since_ns - 1, "Tenant": "", "RunId": ""}
    while True:
        rows = list(query(sql, {"at": last["At"], "tenant": last["Tenant"], "run": last["RunId"]}))
        yield from (orjson.loads(row["Json"]) for row in rows)
        if len(rows) < STEPS_AT_ONCE:
            return
        last = rows[-1]


def detections_of_run(query: Query, tenant: str, run_id: str) -> list[dict[str, Any]]:
    """Read the detections of a run, the newest version of each; as many as one answer holds."""
    sql = (
        "SELECT Json FROM detections_latest WHERE Tenant = {tenant:String} AND RunId = {run:String} "  # noqa: S608
        f"ORDER BY Id LIMIT {PAGE}"
    )
    return [orjson.loads(row["Json"]) for row in query(sql, {"tenant": tenant, "run": run_id})]


def approvals(query: Query) -> list[dict[str, Any]]:
    """Read every approval event, oldest first."""
    return _documents(query, "SELECT Json FROM approvals FINAL ORDER BY At, Event, EventId")


def healing(query: Query) -> list[dict[str, Any]]:
    """Read what became of fixes, oldest first."""
    return _documents(query, "SELECT Json FROM healing FINAL ORDER BY At, Event, EventId")


def policies(query: Query) -> list[dict[str, Any]]:
    """Read the policies in force."""
    return _documents(query, "SELECT Json FROM policies FINAL ORDER BY Tenant, Service, Agent")


def feedback(query: Query) -> list[Feedback]:
    """Read the verdicts of people: the newest of each person on each detection."""
    rows = query("SELECT Json FROM feedback FINAL ORDER BY Tenant, DetectionId, Who", {})
    return [read_feedback(row["Json"].encode()) for row in rows]


def thresholds(query: Query) -> list[Threshold]:
    """Read what was last said of each threshold, also that it was taken away."""
    rows = query("SELECT Json FROM thresholds FINAL ORDER BY Tenant, Detector, Framework", {})
    return [read_threshold(row["Json"].encode()) for row in rows]


def detection_versions(query: Query, id_: str) -> list[dict[str, Any]]:
    """Read every version of the detections whose ids begin so, oldest first; as many as one answer holds."""
    sql = f"SELECT Json FROM detections FINAL WHERE startsWith(Id, {{id:String}}) ORDER BY Version LIMIT {PAGE}"  # noqa: S608
    return [orjson.loads(row["Json"]) for row in query(sql, {"id": id_})]


def detection_ids(query: Query) -> list[str]:
    """List the ids of the newest detections."""
    sql = "SELECT DISTINCT Id FROM (SELECT Id FROM detections ORDER BY DetectedAt DESC LIMIT 2000)"
    return [str(row["Id"]) for row in query(sql, {})]


def waiting(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """List the questions that nobody has answered and that have not expired: those whose latest event asks."""
    latest = {event["healing_id"]: event for event in events}
    return [event for event in latest.values() if event["event"] == "requested"]


def _documents(query: Query, sql: str) -> list[dict[str, Any]]:
    return [orjson.loads(row["Json"]) for row in query(sql, {})]


def _short_names(row: dict[str, Any]) -> dict[str, Any]:
    return {name.rsplit(".", 1)[-1]: value for name, value in row.items()}
