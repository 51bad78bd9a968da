"""Overview: what is wrong now, with whom, and whether the pipeline keeps up."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard, timeseries

from dashboard_sources.detections_table import detections_table
from dashboard_sources.frame import Section, assembled, mended
from dashboard_sources.palette import BAD, SEVERITIES, WARN, thresholds
from dashboard_sources.panels import Panel, bars, figure, lines, ranking
from dashboard_sources.queries import (
    CALL,
    COSTS,
    DETECTIONS,
    FAILED,
    IN_FORCE,
    POLICIES,
    RULES,
    STEPS,
    metric,
    series,
    table,
)


def overview() -> dashboard.Dashboard:
    """Build the dashboard."""
    return assembled(
        "overview",
        "Overview",
        "What goes wrong in the agents' runs now, with whom, and whether the pipeline keeps up.",
        [
            Section("Now", _figures()),
            Section("Detections", [*_detections(), _newest()]),
            Section("The pipeline itself", _pipeline()),
        ],
        marks=[mended()],
    )


def _figures() -> list[Panel]:
    return [
        figure(
            "Open detections",
            "Detections that still go on: the run has neither recovered nor ended.",
            table(f"SELECT countIf(Status = 'open') AS Open FROM {DETECTIONS}"),
            marks=thresholds((1, WARN), (20, BAD)),
        ),
        figure(
            "High or critical",
            "Detections of severity high or critical, in the time shown.",
            table(f"SELECT countIf(Severity IN ('high', 'critical')) AS Severe FROM {DETECTIONS}"),
            marks=thresholds((1, BAD)),
        ),
        figure(
            "Runs",
            "Agent runs with any step in the time shown.",
            table(f"SELECT uniqExact(Tenant, RunId) AS Runs FROM {STEPS}"),
        ),
        figure(
            "Failed calls",
            "Share of model and tool calls that failed.",
            table(f"SELECT countIf({FAILED}) / count() AS Failed FROM {STEPS} AND {CALL}"),
            "percentunit",
            thresholds((0.02, WARN), (0.1, BAD)),
        ),
        figure(
            "Spend",
            "What the calls cost, by the agents' own figures or the price list.",
            table(f"SELECT sum(CostUsd) AS Spend FROM {COSTS}"),
            "currencyUSD",
        ),
        figure(
            "Rules in force",
            "Guard rules that agents are now told to obey, expired ones left out.",
            table(f"SELECT sum(arrayCount(rule -> {IN_FORCE}, {RULES})) AS Rules FROM {POLICIES}"),
        ),
    ]


def _detections() -> list[Panel]:
    return [
        bars(
            "Detections by severity",
            "When they were found. Marks are fixes that came into force.",
            series(f"""
                SELECT $__timeInterval(DetectedAt) AS time, Severity, count() AS Value
                FROM {DETECTIONS} GROUP BY time, Severity ORDER BY time
            """),
            width=10,
            colours=SEVERITIES,
        ),
        ranking(
            "By type",
            "Detections of each type in the time shown.",
            table(
                f"SELECT Type, count() AS Detections FROM {DETECTIONS} GROUP BY Type ORDER BY Detections DESC LIMIT 10"
            ),
            width=7,
            color=WARN,
        ),
        ranking(
            "By agent",
            "Detections of each agent in the time shown.",
            table(f"""
                SELECT concat(Agent, ' · ', Service) AS Who, count() AS Detections
                FROM {DETECTIONS} GROUP BY Who ORDER BY Detections DESC LIMIT 10
            """),
            width=7,
            color=WARN,
        ),
    ]


def _newest() -> Panel:
    return detections_table("Newest detections", "The newest 200 in the time shown. A run's id opens it, step by step.")


def _pipeline() -> list[Panel]:
    return [
        lines(
            "Spans accepted",
            "Spans that the doors made durable, and spans they refused, each second.",
            [
                metric("sum(rate(otelcol_receiver_accepted_spans[$__rate_interval]))", "accepted"),
                metric("sum(rate(otelcol_receiver_refused_spans[$__rate_interval]))", "refused", "B"),
            ],
            "cps",
            8,
            {"accepted": "green", "refused": "red"},
        ),
        _marked(
            lines(
                "Lag",
                "Records that a stage has still to read. It should come back to nothing; a line that only grows "
                "is a stage that is too slow or stands still. On Kafka a group's line also counts partitions whose "
                "member died.",
                [
                    metric("sum by (stage) (tracemend_stage_lag_records)", "{{stage}}"),
                    metric(
                        "sum by (group) (max by (group, topic) (tracemend_group_lag_records))", "group {{group}}", "B"
                    ),
                ],
                "short",
                8,
            )
        ),
        lines(
            "From span to detection",
            "From the moment a record is durable to the detection it led to: half of them are quicker than the "
            "first line, 99 in 100 than the second.",
            [
                metric(_quantile("0.5"), "p50"),
                metric(_quantile("0.99"), "p99", "B"),
            ],
            "s",
            8,
            {"p50": "blue", "p99": "orange"},
        ),
        lines(
            "Steps",
            "Steps that the normaliser published each second, by the dialect the agent's instrumentation speaks.",
            metric("sum by (dialect) (rate(tracemend_normaliser_steps[$__rate_interval]))", "{{dialect}}"),
            "cps",
            8,
        ),
        lines(
            "Rows stored",
            "Rows that reached the store each second, by table.",
            metric("sum by (table) (rate(tracemend_sink_rows[$__rate_interval]))", "{{table}}"),
            "cps",
            8,
        ),
        bars(
            "Trouble",
            "Batches that failed and were tried again, and records that could never be handled. Nothing is what "
            "it should show.",
            [
                metric("sum by (stage) (increase(tracemend_stage_failures[$__rate_interval]))", "{{stage}} failed"),
                metric(
                    "sum by (stage) (increase(tracemend_dead_letters[$__rate_interval]))", "{{stage}} dead letters", "B"
                ),
            ],
            "short",
            8,
        ),
    ]


def _quantile(share: str) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate(tracemend_detection_seconds_bucket[$__rate_interval])))"


def _marked(panel: timeseries.Panel) -> timeseries.Panel:
    return panel.thresholds(thresholds((1_000, WARN), (10_000, BAD)))
