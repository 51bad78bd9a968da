"""Runs as several dashboards count them: the steps in view, added up by run, and by run and agent."""

from __future__ import annotations

from dashboard_sources.queries import COSTS, DETECTIONS, FAILED, STEPS

ADDED_UP = f"""
    min(Start) AS Began, max(Start + toIntervalNanosecond(Duration)) AS Ended,
    toFloat64(dateDiff('millisecond', Began, Ended)) / 1000 AS Seconds, count() AS Steps,
    countIf(Kind = 'llm') AS LlmCalls, countIf(Kind = 'tool') AS ToolCalls, countIf({FAILED}) AS Failures,
    sum(s.InputTokens + s.OutputTokens) AS Tokens
"""
RUNS = f"""(
    SELECT Tenant, RunId, anyIf(s.Service, s.Service != '') AS RunService,
    arrayStringConcat(arraySort(groupUniqArrayIf(s.Agent, s.Agent != '')), ', ') AS Agents, {ADDED_UP}
    FROM {STEPS} GROUP BY Tenant, RunId
)"""
AGENT_RUNS = f"""(
    SELECT Tenant, Service, Agent, RunId, anyIf(s.Framework, s.Framework != '') AS Framework, {ADDED_UP}
    FROM {STEPS} AND Agent != '' GROUP BY Tenant, Service, Agent, RunId
)"""
RUN_COSTS = f"(SELECT Tenant, RunId, sum(c.CostUsd) AS Cost FROM {COSTS} GROUP BY Tenant, RunId)"
RUN_DETECTIONS = f"""(
    SELECT Tenant, RunId, arrayStringConcat(arraySort(groupUniqArray(Type)), ', ') AS Found, count() AS Detections
    FROM {DETECTIONS} GROUP BY Tenant, RunId
)"""
