"""The table of detections that several dashboards show, each leading to its run."""

from __future__ import annotations

from grafana_foundation_sdk.builders import table as rows_panel

from dashboard_sources.columns import CONFIDENCE, RUN, RUN_BOUNDS, SEVERITY, STATUS, WHEN, wide
from dashboard_sources.panels import rows
from dashboard_sources.queries import DETECTIONS, table

NEWEST = 200


def detections_table(title: str, about: str, only: str = "1") -> rows_panel.Panel:
    """Show the newest detections that are in view; `only` is SQL that narrows them down."""
    found = f"SELECT * FROM {DETECTIONS} AND {only} ORDER BY DetectedAt DESC LIMIT {NEWEST}"
    sql = f"""
        SELECT DetectedAt AS When, Type, Severity, Confidence, Status, Service, Agent, Title AS "What happened",
        if(FixType = '', '', concat(FixType, ' (', FixRisk, ')')) AS Fix, Tenant, RunId AS Run, {RUN_BOUNDS}
        FROM ({found}) AS d
        LEFT JOIN (
            SELECT Tenant, RunId, min(Start) AS Began, max(Start + toIntervalNanosecond(Duration)) AS Ended
            FROM agent_steps WHERE RunId IN (SELECT RunId FROM ({found})) GROUP BY Tenant, RunId
        ) AS r USING (Tenant, RunId)
        ORDER BY When DESC
    """
    columns = {
        "When": WHEN,
        "Type": wide(120),
        "Severity": SEVERITY,
        "Confidence": CONFIDENCE,
        "Status": STATUS,
        "Service": wide(150),
        "Agent": wide(150),
        "Fix": wide(230),
        **RUN,
    }
    return rows(title, about, table(sql), columns)
