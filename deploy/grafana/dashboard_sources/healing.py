"""Healing and efficacy: what was mended, what waits for a person, and whether it comes back all the same."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from dashboard_sources.columns import AGENT_URL, RISK, WHEN, barred, linked, measured, wide
from dashboard_sources.frame import Section, assembled, mended
from dashboard_sources.palette import BAD, EVENTS, GOOD, WARN, prop, thresholds
from dashboard_sources.panels import Panel, bars, figure, rows
from dashboard_sources.queries import (
    APPROVALS,
    DETECTIONS,
    EXPIRES,
    HEALING,
    IN_FORCE,
    POLICIES,
    RULES,
    metric,
    series,
    table,
)
from dashboard_sources.runs import AGENT_RUNS

ANSWERED = "Id IN (SELECT Id FROM approvals WHERE Event IN ('approved', 'rejected', 'expired'))"
APPROVAL = "JSONExtractString(a.Json, 'kind') = 'approval'"


def healing() -> dashboard.Dashboard:
    """Build the dashboard."""
    return assembled(
        "healing",
        "Healing and efficacy",
        "What was mended by itself, what people decided, and whether what was mended comes back.",
        [
            Section("In the time shown", _figures()),
            Section("What became of fixes", [_events(), _decisions(), _by_fix()]),
            Section("Does it help?", [_efficacy()]),
            Section("Open questions and rules in force", [_open(), _rules()]),
        ],
        marks=[mended()],
    )


def _figures() -> list[Panel]:
    latency = f"""
        SELECT quantileExact(0.5)(dateDiff('millisecond', d.DetectedAt, h.At)) / 1000 AS Seconds
        FROM (SELECT Id, DetectionId, At FROM {HEALING} AND Event = 'applied') AS h
        INNER JOIN (SELECT Id, min(DetectedAt) AS DetectedAt FROM detections GROUP BY Id) AS d ON d.Id = h.DetectionId
    """
    return [
        figure(
            "Fixes applied",
            "Fixes that came into force, by themselves or approved.",
            table(f"SELECT countIf(Event = 'applied') AS Applied FROM {HEALING}"),
        ),
        figure(
            "Taken back or failed",
            "Fixes that were rolled back, or could not be applied.",
            table(f"SELECT countIf(Event IN ('rolled_back', 'failed')) AS Count FROM {HEALING}"),
            marks=thresholds((1, BAD)),
        ),
        figure(
            "Waiting for a person",
            "Questions that nobody has answered, and that have not expired.",
            table(
                f"SELECT uniqExactIf(Id, Event = 'requested' AND NOT {ANSWERED}) AS Waiting FROM {APPROVALS} AND "
                f"{APPROVAL}"
            ),
            marks=thresholds((1, WARN)),
        ),
        figure(
            "Answered by people",
            "Questions that were approved or rejected.",
            table(
                f"SELECT uniqExactIf(Id, Event IN ('approved', 'rejected')) AS Answered FROM {APPROVALS} AND {APPROVAL}"
            ),
        ),
        figure(
            "From detection to fix",
            "Median time from a detection's first report to its fix being in force.",
            table(latency),
            "s",
            thresholds((60, WARN), (600, BAD), below=GOOD),
        ),
        figure(
            "Agents under rules",
            "Agents with at least one guard rule in force.",
            table(f"SELECT countIf(arrayExists(rule -> {IN_FORCE}, {RULES})) AS Agents FROM {POLICIES}"),
        ),
    ]


def _events() -> Panel:
    return bars(
        "Events",
        "Fixes applied and taken back; questions asked and answered.",
        series(f"""
            SELECT $__timeInterval(At) AS time, Event, count() AS Value
            FROM (SELECT At, Event FROM {HEALING} UNION ALL SELECT At, Event FROM {APPROVALS})
            GROUP BY time, Event ORDER BY time
        """),
        colours=EVENTS,
    )


def _decisions() -> Panel:
    return bars(
        "Decisions",
        "What the healing consumer decided about suggested fixes, and why.",
        metric(
            "sum by (decision, reason) (increase(tracemend_healing_decisions[$__rate_interval]))",
            "{{decision}}: {{reason}}",
        ),
    )


def _by_fix() -> Panel:
    sql = f"""
        SELECT FixType AS Fix, any(Risk) AS Risk, countIf(Event = 'applied') AS Applied,
        countIf(Event = 'rolled_back') AS "Taken back",
        countIf(Event = 'failed') AS Failed, countIf(Event = 'requested') AS Asked,
        countIf(Event = 'approved') AS Approved,
        countIf(Event IN ('rejected', 'expired')) AS "Turned down"
        FROM (
            SELECT h.FixType AS FixType, h.Risk AS Risk, h.Event AS Event FROM {HEALING}
            UNION ALL SELECT a.FixType, a.Risk, a.Event FROM {APPROVALS}
        ) GROUP BY FixType ORDER BY Applied DESC, Asked DESC
    """
    counts = {
        name: measured("short", 85) for name in ("Applied", "Taken back", "Failed", "Asked", "Approved", "Turned down")
    }
    return rows("By fix", "What became of each kind of fix.", table(sql), {"Risk": RISK, **counts}, 24, 7)


def _efficacy() -> Panel:
    fixed = f"""
        SELECT Tenant, Service, Agent, DetectionType AS Type, argMin(FixType, At) AS Fix, min(h.At) AS FixedAt
        FROM {HEALING} AND Event = 'applied' GROUP BY Tenant, Service, Agent, Type
    """
    found = (
        f"SELECT Tenant, Service, Agent, Type, uniqExact(RunId) AS Hit, RunId FROM {DETECTIONS} GROUP BY Tenant, "
        f"Service, Agent, Type, RunId"
    )
    sql = f"""
        SELECT f.Service AS Service, f.Agent AS Agent, f.Type AS Type, f.Fix AS Fix, f.FixedAt AS "In force since",
        countIf(Began < FixedAt) AS "Runs before", countIf(Began >= FixedAt) AS "Runs after",
        countIf(Began < FixedAt AND Hit > 0) / greatest("Runs before", 1) AS "Hit before",
        if("Runs after" = 0, NULL, countIf(Began >= FixedAt AND Hit > 0) / "Runs after") AS "Hit after"
        FROM ({fixed}) AS f INNER JOIN {AGENT_RUNS} AS r ON r.Tenant = f.Tenant AND r.Service = f.Service
        AND r.Agent = f.Agent
        LEFT JOIN ({found}) AS d ON d.Tenant = f.Tenant AND d.Service = f.Service AND d.Agent = f.Agent
        AND d.Type = f.Type AND d.RunId = r.RunId
        GROUP BY Service, Agent, Type, Fix, "In force since" ORDER BY "In force since" DESC LIMIT 100
    """
    share = [prop("max", 1)]
    columns = {
        "Service": wide(160),
        "Agent": linked("Open the agent", AGENT_URL, 160),
        "In force since": WHEN,
        "Runs before": measured("short", 100),
        "Runs after": measured("short", 100),
        "Hit before": [*barred("percentunit", "orange"), *share],
        "Hit after": [*barred("percentunit", "red"), *share],
    }
    about = (
        "Of an agent's runs, how many had the failure before its fix came into force, and how many after. A fix "
        "that works brings the second to nothing; an agent that does not obey its guard policy keeps it up."
    )
    return rows("Runs hit before and after a fix", about, table(sql), columns)


def _open() -> Panel:
    sql = f"""
        SELECT At AS Asked, FixType AS Fix, Risk, DetectionType AS "For", Service, Agent,
        JSONExtractString(a.Json, 'detection_title') AS "What happened", Reason AS "Why it asks", Id
        FROM {APPROVALS} AND {APPROVAL} AND Event = 'requested' AND NOT {ANSWERED} ORDER BY At DESC LIMIT 200
    """
    columns = {
        "Asked": WHEN,
        "Risk": RISK,
        "Service": wide(150),
        "Agent": wide(150),
        "Fix": wide(160),
        "For": wide(110),
        "Id": wide(120),
    }
    about = "Answer with `tracemend approvals approve ID` or `reject ID`."
    return rows("Open questions", about, table(sql), columns)


def _rules() -> Panel:
    sql = f"""
        SELECT Service, Agent, JSONExtractString(rule, 'fix_type') AS Fix, JSONExtractString(rule, 'scope') AS Scope,
        JSONExtractRaw(rule, 'parameters') AS Parameters, {EXPIRES} AS Until, p.At AS "Changed"
        FROM (SELECT *, arrayJoin({RULES}) AS rule FROM {POLICIES}) AS p WHERE {IN_FORCE} ORDER BY Service,
        Agent LIMIT 500
    """
    columns = {
        "Service": wide(160),
        "Agent": wide(160),
        "Fix": wide(160),
        "Scope": wide(80),
        "Until": WHEN,
        "Changed": WHEN,
    }
    return rows("Rules in force", "What guards are told; an empty agent is the whole service.", table(sql), columns)
