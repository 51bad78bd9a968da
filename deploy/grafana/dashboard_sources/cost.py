"""Cost: what is spent, on what, by whom, and how much of it on runs that went wrong."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from dashboard_sources.columns import AGENT_URL, RUN, RUN_BOUNDS, USD, barred, linked, measured, wide
from dashboard_sources.detections_table import detections_table
from dashboard_sources.frame import Section, assembled, mended
from dashboard_sources.palette import BAD, WARN, thresholds
from dashboard_sources.panels import Panel, bars, figure, lines, ranking, rows
from dashboard_sources.queries import COSTS, series, table
from dashboard_sources.runs import RUN_COSTS, RUN_DETECTIONS, RUNS

SPENT_ON = f"""
    SELECT * FROM {RUN_COSTS} AS c LEFT JOIN {RUN_DETECTIONS} AS d USING (Tenant, RunId)
"""
BUDGETS = "Type IN ('cost', 'cost_spike', 'token_explosion')"


def cost() -> dashboard.Dashboard:
    """Build the dashboard."""
    return assembled(
        "cost",
        "Cost",
        "What is spent on model calls, by whom, and how much of it in runs that went wrong.",
        [
            Section("In the time shown", _figures()),
            Section("Over time", _over_time()),
            Section("On what", _on_what()),
            Section("Runs and budgets", [_dearest(), _budgets()]),
        ],
        marks=[mended()],
    )


def _figures() -> list[Panel]:
    cached = f"SELECT sum(c.CacheRead) / greatest(sum(c.Input), 1) AS Cached FROM {COSTS}"
    wrong = f"SELECT sumIf(Cost, Detections > 0) / greatest(sum(Cost), 1e-9) AS Share FROM ({SPENT_ON})"
    return [
        figure(
            "Spend", "All model calls, in USD.", table(f"SELECT sum(c.CostUsd) AS Spend FROM {COSTS}"), "currencyUSD"
        ),
        figure(
            "Spend a run",
            "Mean over the runs that called a model.",
            table(f"SELECT sum(c.CostUsd) / greatest(uniqExact(Tenant, RunId), 1) AS Mean FROM {COSTS}"),
            "currencyUSD",
        ),
        figure(
            "Spent where something went wrong",
            "Share of the spend that went to runs with any detection.",
            table(wrong),
            "percentunit",
            thresholds((0.1, WARN), (0.3, BAD)),
        ),
        figure(
            "Input tokens",
            "Tokens sent to models, cached ones included.",
            table(f"SELECT sum(c.Input) AS Tokens FROM {COSTS}"),
        ),
        figure(
            "From the cache", "Share of the input tokens that the provider had cached.", table(cached), "percentunit"
        ),
        figure(
            "Calls without a price",
            "Calls of models that neither the agent nor the price list has a price for: they cost more than "
            "nothing. Give their prices under `models` in the configuration.",
            table(f"SELECT uniqExactIf((TraceId, SpanId), NOT Priced) AS Calls FROM {COSTS}"),
            marks=thresholds((1, WARN)),
        ),
    ]


def _over_time() -> list[Panel]:
    return [
        bars("Spend by model", "In USD.", series(_spend_by("Model")), "currencyUSD", 8),
        bars("Spend by agent", "In USD.", series(_spend_by("Agent")), "currencyUSD", 8),
        lines(
            "Tokens",
            "Input without what came from the cache, what came from it, and output.",
            series(f"""
                SELECT $__timeInterval(At) AS time, sum(c.Input - c.CacheRead) AS input,
                sum(c.CacheRead) AS cached, sum(c.Output) AS output FROM {COSTS} GROUP BY time ORDER BY time
            """),
            "short",
            8,
            {"input": "blue", "cached": "green", "output": "orange"},
        ),
    ]


def _spend_by(column: str) -> str:
    return f"""
        SELECT $__timeInterval(At) AS time, if({column} = '', 'unknown', {column}) AS Whose, sum(c.CostUsd) AS Value
        FROM {COSTS} GROUP BY time, Whose ORDER BY time
    """


def _on_what() -> list[Panel]:
    by_agent = f"""
        SELECT Service, Agent, sum(c.CostUsd) AS Spend, uniqExact(RunId) AS Runs, Spend / Runs AS "A run",
        uniqExact(TraceId, SpanId) AS Calls, sum(c.Input) AS "Input tokens", sum(c.Output) AS "Output tokens"
        FROM {COSTS} GROUP BY Service, Agent ORDER BY Spend DESC LIMIT 100
    """
    by_model = f"""
        SELECT Model, any(c.Provider) AS Provider, sum(c.CostUsd) AS Spend, uniqExact(TraceId, SpanId) AS Calls,
        1e6 * Spend / greatest(sum(c.Input + c.Output), 1) AS "A million tokens"
        FROM {COSTS} GROUP BY Model ORDER BY Spend DESC LIMIT 100
    """
    wrong = f"""
        SELECT arrayJoin(splitByString(', ', Found)) AS Type, sum(Cost) AS Spend
        FROM ({SPENT_ON}) WHERE Detections > 0 GROUP BY Type ORDER BY Spend DESC LIMIT 10
    """
    tokens = measured("short")
    calls = {"Spend": barred("currencyUSD", "blue"), "Calls": measured("short", 80)}
    agents = {
        "Service": wide(160),
        "Agent": linked("Open the agent", AGENT_URL, 160),
        "Runs": measured("short", 80),
        "A run": USD,
        "Input tokens": tokens,
        "Output tokens": tokens,
        **calls,
    }
    return [
        rows("By agent", "What each agent's calls cost.", table(by_agent), agents),
        rows(
            "By model",
            "What each model's calls cost, and what a million of its tokens came to.",
            table(by_model),
            {"A million tokens": USD, **calls},
            14,
        ),
        ranking(
            "Spent on runs with ...",
            "Spend of runs with a detection of each type; a run with two counts for both.",
            table(wrong),
            "currencyUSD",
            10,
            BAD,
        ),
    ]


def _dearest() -> Panel:
    sql = f"""
        SELECT Began AS Started, RunService AS Service, Agents, Cost AS Spend, Tokens, LlmCalls AS "Model calls",
        Seconds AS Took,
        Found AS Detections, Tenant, RunId AS Run, {RUN_BOUNDS}
        FROM {RUN_COSTS} AS c INNER JOIN {RUNS} AS r USING (Tenant, RunId)
        LEFT JOIN {RUN_DETECTIONS} AS d USING (Tenant, RunId) ORDER BY Cost DESC LIMIT 50
    """
    columns = {"Spend": barred("currencyUSD", "blue"), "Tokens": measured("short"), "Took": measured("s"), **RUN}
    return rows("Dearest runs", "The 50 runs that cost most.", table(sql), columns)


def _budgets() -> Panel:
    about = (
        "Budgets that were passed and calls that used far more tokens than those before. Budgets are set under "
        "`processors::cost::budgets`."
    )
    return detections_table("Budgets and bursts", about, BUDGETS)
