"""Fleet and baselines: all agents side by side, and each against what is usual for it."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from dashboard_sources.columns import AGENT_URL, RUN, RUN_BOUNDS, WHEN, barred, linked, measured, wide
from dashboard_sources.frame import Section, assembled, mended
from dashboard_sources.palette import BAD, WARN, prop
from dashboard_sources.panels import Panel, bars, figure, lines, rows
from dashboard_sources.queries import DETECTIONS, FAILED, STEPS, WHOSE, metric, series, table
from dashboard_sources.runs import AGENT_RUNS

BEFORE = "Start >= $__fromTime - ($__toTime - $__fromTime) AND Start < $__fromTime"
"""The same length of time, just before the time shown."""


def fleet() -> dashboard.Dashboard:
    """Build the dashboard."""
    return assembled(
        "fleet",
        "Fleet and baselines",
        "All agents side by side, and each against what is usual for it.",
        [
            Section("In the time shown", _figures()),
            Section("Agents", [_agents()]),
            Section("Baselines", [_against_before(), _unusual()]),
            Section("Models and tools", [_by_framework(), _model_latency(), _tool_latency(), _tools()]),
        ],
        marks=[mended()],
    )


def _figures() -> list[Panel]:
    different = {
        "Services": ("Service", "Services that sent steps."),
        "Agents": ("Agent", "Agents that were named in a step."),
        "Frameworks": ("Framework", "Agent frameworks that were recognised."),
        "Models": ("Model", "Models that were called."),
        "Tools": ("Tool", "Tools that were called."),
    }
    figures: list[Panel] = [
        figure(title, about, table(f"SELECT uniqExactIf({column}, {column} != '') AS Count FROM {STEPS}"))
        for title, (column, about) in different.items()
    ]
    live = metric("max(tracemend_live_runs)", "runs", now=True)
    return [*figures, figure("Live runs", "Runs that detectors now hold state for.", live)]


def _agents() -> Panel:
    found = f"SELECT Tenant, Service, Agent, count() AS Detections FROM {DETECTIONS} GROUP BY Tenant, Service, Agent"
    sql = f"""
        SELECT Service, Agent, any(r.Framework) AS Framework, count() AS Runs,
        quantileExact(0.5)(r.Steps) AS "Steps a run",
        quantileExact(0.5)(r.Tokens) AS "Tokens a run", quantileExact(0.5)(r.Seconds) AS "Takes",
        quantileExact(0.95)(r.Seconds) AS "1 in 20 takes",
        sum(r.Failures) / sum(r.LlmCalls + r.ToolCalls + 1e-9) AS Failed,
        100 * any(d.Detections) / Runs AS "Detections in 100 runs",
        max(r.Ended) AS "Last seen"
        FROM {AGENT_RUNS} AS r LEFT JOIN ({found}) AS d USING (Tenant, Service, Agent)
        GROUP BY Tenant, Service, Agent ORDER BY Runs DESC LIMIT 200
    """
    columns = {
        "Service": wide(160),
        "Agent": linked("Only this agent", AGENT_URL, 170),
        "Framework": wide(130),
        "Runs": barred("short", "blue"),
        "Steps a run": measured("short", 100),
        "Tokens a run": measured("short", 110),
        "Takes": measured("s", 90),
        "1 in 20 takes": measured("s", 110),
        "Failed": measured("percentunit", 80, 0),
        "Detections in 100 runs": barred("short", "orange"),
        "Last seen": WHEN,
    }
    about = "Medians over the runs in the time shown."
    return rows("Agent by agent", about, table(sql), columns, 24, 10)


def _against_before() -> Panel:
    before = AGENT_RUNS.replace("$__timeFilter(Start)", BEFORE)
    medians = (
        "count() AS Runs, quantileExact(0.5)(Steps) AS S, quantileExact(0.5)(Tokens) AS T, "
        "quantileExact(0.5)(Seconds) AS D"
    )
    sql = f"""
        SELECT n.Service AS Service, n.Agent AS Agent, n.Runs AS Runs, b.Runs AS "Runs before",
        if("Runs before" = 0, NULL, n.S / b.S - 1) AS "Steps", if("Runs before" = 0, NULL, n.T / b.T - 1) AS "Tokens",
        if("Runs before" = 0, NULL, n.D / b.D - 1) AS "Time"
        FROM (SELECT Tenant, Service, Agent, {medians} FROM {AGENT_RUNS} GROUP BY Tenant, Service, Agent) AS n
        LEFT JOIN (SELECT Tenant, Service, Agent, {medians} FROM {before} GROUP BY Tenant, Service, Agent) AS b
        ON n.Tenant = b.Tenant AND n.Service = b.Service AND n.Agent = b.Agent
        ORDER BY Runs DESC LIMIT 200
    """
    change = [
        *measured("percentunit", 100, 0),
        prop("custom.cellOptions", {"type": "color-text"}),
        prop("noValue", "new"),
        prop(
            "thresholds",
            {
                "mode": "absolute",
                "steps": [
                    {"color": "green", "value": None},
                    {"color": WARN, "value": 0.25},
                    {"color": BAD, "value": 1},
                ],
            },
        ),
    ]
    columns = {
        "Service": wide(160),
        "Agent": linked("Only this agent", AGENT_URL, 160),
        "Runs": measured("short", 80),
        "Runs before": measured("short", 100),
        **dict.fromkeys(("Steps", "Tokens", "Time"), change),
    }
    about = (
        "How the median run of each agent changed against the same length of time just before: `new` where there "
        "were none."
    )
    return rows("Against the time before", about, table(sql), columns, 12)


def _unusual() -> Panel:
    usual = f"""
        SELECT Tenant, Service, Agent, quantileExact(0.5)(Steps) AS UsualSteps,
        quantileExact(0.5)(Tokens) AS UsualTokens, count() AS Runs
        FROM {AGENT_RUNS} GROUP BY Tenant, Service, Agent HAVING Runs > 1
    """
    sql = f"""
        SELECT r.Began AS Started, r.Agent AS Agent, r.Steps / UsualSteps AS "Steps, times usual",
        if(UsualTokens = 0, NULL, r.Tokens / UsualTokens) AS "Tokens, times usual", r.Steps AS Steps,
        r.Tokens AS Tokens,
        r.Tenant AS Tenant, r.RunId AS Run, {RUN_BOUNDS}
        FROM {AGENT_RUNS} AS r INNER JOIN ({usual}) AS u USING (Tenant, Service, Agent)
        ORDER BY greatest("Steps, times usual", ifNull("Tokens, times usual", 0)) DESC LIMIT 50
    """
    columns = {
        "Started": WHEN,
        "Agent": wide(140),
        "Steps, times usual": barred("none", "orange"),
        "Tokens, times usual": barred("none", "purple"),
        "Steps": measured("short", 80),
        "Tokens": measured("short", 90),
        **RUN,
    }
    return rows("Runs furthest from their agent's median", "Of agents with more than one run.", table(sql), columns, 12)


def _by_framework() -> Panel:
    sql = f"""
        SELECT $__timeInterval(Start) AS time, if(Framework = '', 'unknown', Framework) AS Whose, uniqExact(Tenant,
        RunId) AS Value
        FROM {STEPS} GROUP BY time, Whose ORDER BY time
    """
    return bars("Runs by framework", "Runs with a step of each framework.", series(sql), width=12)


def _model_latency() -> Panel:
    sql = f"""
        SELECT $__timeInterval(Start) AS time, Model, quantile(0.95)(Duration) AS Value
        FROM {STEPS} AND Kind = 'llm' AND Model != '' GROUP BY time, Model ORDER BY time
    """
    return lines(
        "Model calls, 1 in 20 takes longer than", "95th percentile of each model's calls.", series(sql), "ns", 12
    )


def _tool_latency() -> Panel:
    sql = f"""
        SELECT $__timeInterval(Start) AS time, Tool, quantile(0.95)(Duration) AS Value
        FROM {STEPS} AND Kind = 'tool' AND Tool IN (
            SELECT Tool FROM agent_steps WHERE Tool != '' AND $__timeFilter(Start) AND {WHOSE} GROUP BY Tool
            ORDER BY count() DESC LIMIT 10
        ) GROUP BY time, Tool ORDER BY time
    """
    return lines(
        "Tools, 1 in 20 takes longer than", "95th percentile of the ten tools called most.", series(sql), "ns", 12
    )


def _tools() -> Panel:
    sql = f"""
        SELECT $__timeInterval(Start) AS time, Tool, countIf({FAILED}) / count() AS Value
        FROM {STEPS} AND Kind = 'tool' AND Tool != '' GROUP BY time, Tool HAVING Value > 0 ORDER BY time
    """
    return lines(
        "Tools that fail",
        "Share of each tool's calls that failed; tools that never did are left out.",
        series(sql),
        "percentunit",
        12,
    )
