"""Run explorer: one run, step by step, with what was found in it."""

from __future__ import annotations

from grafana_foundation_sdk.builders import common, dashboard, trend
from grafana_foundation_sdk.models import common as model
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue, ThresholdsMode

from dashboard_sources.columns import (
    CONFIDENCE,
    RUN,
    RUN_BOUNDS,
    SEVERITY,
    STATUS,
    USD,
    WHEN,
    measured,
    wide,
)
from dashboard_sources.frame import Section, assembled, mark, one
from dashboard_sources.palette import prop, series_colours
from dashboard_sources.panels import Panel, figure, rows
from dashboard_sources.queries import FAILED, STORE, table
from dashboard_sources.run_steps import FOUND, MOST_STEPS, STEPS, THIS, steps, timeline, waterfall
from dashboard_sources.runs import RUN_COSTS, RUN_DETECTIONS, RUNS


def run_explorer() -> dashboard.Dashboard:
    """Build the dashboard."""
    return assembled(
        "run",
        "Run explorer",
        "One agent run, step by step, with the detections in it. Pick a run in the list, or come from a detection.",
        [
            Section("The run", [_summary(), _diagnosis(), timeline(), _detections(), _context()]),
            Section("Its steps", [steps(), waterfall()]),
            Section("Other runs", [_runs()]),
        ],
        extra=[_picker()],
        marks=[_marks()],
    )


def _picker() -> dashboard.QueryVariable:
    sql = f"""
        SELECT RunId, concat(formatDateTime(Began, '%Y-%m-%d %H:%i:%S'), '  ', RunService, '  ', Agents, '  ',
        substring(RunId, 1, 8)) AS Label FROM {RUNS} ORDER BY Began DESC LIMIT 500
    """
    return one("run", "Run", sql)


def _marks() -> dashboard.AnnotationQuery:
    sql = f"""
        SELECT EventTime AS time, concat(Type, ' (', Severity, ')') AS title, Title AS text, Severity AS tags
        FROM {FOUND} ORDER BY EventTime
    """
    return mark("Detections", "red", table(sql))


def _summary() -> Panel:
    sql = f"""
        SELECT (max(toUnixTimestamp64Nano(Start) + Duration) - min(toUnixTimestamp64Nano(Start))) / 1e9 AS Took,
        count() AS Steps, countIf(Kind = 'llm') AS "Model calls", countIf(Kind = 'tool') AS "Tool calls",
        countIf({FAILED}) AS Failed, sum(s.InputTokens) AS "Input tokens", sum(s.OutputTokens) AS "Output tokens",
        (SELECT sum(CostUsd) FROM cost_metrics_rows FINAL WHERE {THIS}) AS Cost,
        (SELECT count() FROM {FOUND}) AS Detections FROM {STEPS}
    """
    about = "The whole run, whatever the time shown."
    return (
        figure("In short", about, table(sql), width=24)
        .override_by_name("Took", [prop("unit", "s")])
        .override_by_name("Cost", [prop("unit", "currencyUSD"), prop("decimals", 4)])
        .override_by_name("Failed", _alarming())
        .override_by_name("Detections", _alarming())
    )


def _diagnosis() -> Panel:
    sql = f"""
        SELECT Outcome, if(Blames, Failure, '') AS "What went wrong", FaultAgent AS "Agent at fault",
        FaultStep AS "Step at fault", if(FaultShare > 0, FaultShare, NULL) AS Share, Diagnosis, FaultSpanId AS Span
        FROM run_summaries FINAL WHERE {THIS}
    """
    columns = {
        "Outcome": wide(100),
        "What went wrong": wide(300),
        "Agent at fault": wide(140),
        "Step at fault": wide(170),
        "Share": measured("percentunit", 80, 0),
        "Diagnosis": [prop("custom.inspect", value=True)],
        "Span": wide(140),
    }
    about = "Who and which step is most likely at fault, with its share of the blame; there once the run has ended."
    return rows("Diagnosis", about, table(sql), columns, 24, 4)


def _alarming() -> list[DynamicConfigValue]:
    steps = [{"color": "green", "value": None}, {"color": "red", "value": 1}]
    return [prop("thresholds", {"mode": ThresholdsMode.ABSOLUTE, "steps": steps})]


def _detections() -> Panel:
    sql = f"""
        SELECT EventTime AS When, Type, Severity, Confidence, Status, Agent, Title AS "What happened", Explanation,
        if(FixType = '', '', concat(FixType, ' (', FixRisk, ')')) AS Fix, Evidence, Id
        FROM {FOUND} ORDER BY EventTime
    """
    columns = {
        "When": WHEN,
        "Type": wide(120),
        "Severity": SEVERITY,
        "Confidence": CONFIDENCE,
        "Status": STATUS,
        "Agent": wide(140),
        "Fix": wide(200),
        "Evidence": [prop("custom.inspect", value=True), *wide(180)],
        "Id": wide(110),
    }
    return rows(
        "What was found", "The detections in this run, in the order of their events.", table(sql), columns, 24, 7
    )


def _context() -> Panel:
    sql = f"""
        SELECT row_number() OVER (ORDER BY Start, SpanId) AS Call, InputTokens AS "Input tokens",
        OutputTokens AS "Output tokens" FROM {STEPS} AND Kind = 'llm' AND HasUsage ORDER BY Call LIMIT {MOST_STEPS}
    """
    panel = (
        trend.Panel()
        .title("Tokens, call by call")
        .description("How the context grows from one model call of the run to the next.")
        .datasource(STORE)
        .with_target(table(sql))
        .x_field("Call")
        .unit("short")
        .min(0)
        .span(24)
        .height(7)
        .line_width(2)
        .fill_opacity(10)
        .show_points(model.VisibilityMode.ALWAYS)
        .legend(
            common.VizLegendOptions()
            .show_legend(show_legend=True)
            .display_mode(model.LegendDisplayMode.LIST)
            .placement(model.LegendPlacement.BOTTOM)
        )
    )
    for name, properties in series_colours({"Input tokens": "blue", "Output tokens": "orange"}):
        panel = panel.override_by_name(name, properties)
    return panel


def _runs() -> Panel:
    sql = f"""
        SELECT Began AS Started, RunService AS Service, Agents, Seconds AS Took, Steps, Failures AS Failed, Tokens,
        Cost AS Spend,
        Found AS Detections, Tenant, RunId AS Run, {RUN_BOUNDS}
        FROM {RUNS} AS r LEFT JOIN {RUN_DETECTIONS} AS d USING (Tenant, RunId)
        LEFT JOIN {RUN_COSTS} AS c USING (Tenant, RunId)
        ORDER BY Began DESC LIMIT 200
    """
    columns = {
        "Started": WHEN,
        "Took": measured("s"),
        "Steps": measured("short", 80),
        "Failed": measured("short", 80),
        "Tokens": measured("short", 95),
        "Spend": USD,
        **RUN,
    }
    return rows("Runs", "The newest 200 runs in the time shown.", table(sql), columns)
