"""One run's steps: a timeline, a table, and the spans they were made of."""

from __future__ import annotations

from grafana_foundation_sdk.builders import common, dashboard, statetimeline
from grafana_foundation_sdk.models import common as model
from grafana_foundation_sdk.models import dashboard as dashboard_model
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig

from dashboard_sources.columns import barred, measured, wide
from dashboard_sources.palette import KINDS, by_name, coloured, marked, prop, series_colours
from dashboard_sources.panels import Panel, rows
from dashboard_sources.queries import FAILED, STORE, picked, table, traces

THIS = f"RunId = ${{run:singlequote}} AND {picked('Tenant')}"
STEPS = f"agent_steps AS s FINAL WHERE NOT Retracted AND {THIS}"
FOUND = f"detections_latest WHERE Status != 'withdrawn' AND {THIS}"
KIND = f"if({FAILED}, 'failed', toString(Kind))"
MOST_STEPS = 2_000
"""A run may have more than a browser draws; the first ones are shown."""
LEAF = "Kind NOT IN ('agent', 'workflow', 'step')"
"""What is no wrapper around others, so that a lane does one thing at a time."""


def timeline() -> Panel:
    """Show what each agent did when, in lanes."""
    lane = "concat(if(Agent = '', Service, Agent), ' · ', Kind)"
    what = f"concat(multiIf(Tool != '', Tool, Model != '', Model, Name), if({FAILED}, ' failed', ''))"
    sql = f"""
        SELECT At AS time, Lane, Doing FROM (
            SELECT Start AS At, {lane} AS Lane, CAST({what} AS Nullable(String)) AS Doing, 1 AS Order FROM {STEPS}
            AND {LEAF}
            UNION ALL
            SELECT Start + toIntervalNanosecond(greatest(Duration, 1)) AS At, {lane} AS Lane, NULL AS Doing, 0 AS Order
            FROM {STEPS} AND {LEAF}
        ) ORDER BY time, Order LIMIT {2 * MOST_STEPS}
    """
    lanes = DataTransformerConfig(
        id_val="partitionByValues", options={"fields": ["Lane"], "keepFields": False, "naming": {"asLabels": True}}
    )
    failed = dashboard_model.RegexMap(
        options=dashboard_model.DashboardRegexMapOptions(
            pattern="/ failed$/", result=dashboard_model.ValueMappingResult(color="red")
        )
    )
    panel = (
        statetimeline.Panel()
        .title("Timeline")
        .description(
            "Model calls, tool calls and hand-offs of each agent, one lane each. Red marks are detections. The "
            "link from a detection or from the list of runs sets the time to the run's own."
        )
        .datasource(STORE)
        .with_target(table(sql))
        .with_transformation(lanes)
        .display_name("${__field.labels.Lane}")
        .span(24)
        .height(9)
        .merge_values(merge_values=False)
        .show_value(model.VisibilityMode.AUTO)
        .row_height(0.85)
        .mappings([failed])
        .color_scheme(by_name())
        .fill_opacity(75)
        .legend(
            common.VizLegendOptions()
            .show_legend(show_legend=False)
            .display_mode(model.LegendDisplayMode.LIST)
            .placement(model.LegendPlacement.BOTTOM)
        )
    )
    for kind, properties in series_colours(KINDS):
        panel = panel.override_by_regexp(f"/ · {kind}$/", properties)
    return panel


def steps() -> Panel:
    """Show every step: what went in, what came back, how long it took."""
    sql = f"""
        SELECT row_number() OVER (ORDER BY Start, SpanId) AS "#", Start AS "At", Duration AS Took, {KIND} AS Kind,
        Agent,
        multiIf(Tool != '', Tool, Model != '', Model, Name) AS "What", if(Kind = 'tool', Args, Input) AS "Given",
        if(Kind = 'tool', Result, Output) AS "Came back", Error, InputTokens AS "Input tokens",
        OutputTokens AS "Output tokens", SpanId IN (SELECT arrayJoin(SpanIds) FROM {FOUND}) AS "In a detection",
        SpanId AS Span
        FROM {STEPS} ORDER BY "#" LIMIT {MOST_STEPS}
    """
    columns = {
        "#": wide(55),
        "At": [prop("unit", "time:HH:mm:ss.SSS"), *wide(110)],
        "Took": barred("ns", "blue"),
        "Kind": [*coloured(KINDS), *wide(80)],
        "Agent": wide(140),
        "What": wide(170),
        "Given": [prop("custom.inspect", value=True)],
        "Came back": [prop("custom.inspect", value=True)],
        "Error": [prop("custom.inspect", value=True), *wide(150)],
        "Input tokens": measured("short", 95),
        "Output tokens": measured("short", 95),
        "In a detection": [
            prop("mappings", [marked({"true": "red", "false": "text", "1": "red", "0": "text"})]),
            *wide(95),
        ],
        "Span": wide(140),
    }
    return rows(
        "Steps",
        f"In order, the first {MOST_STEPS}. Texts are there as far as the agent's instrumentation captures them.",
        table(sql),
        columns,
        24,
        14,
    )


def waterfall() -> Panel:
    """Show the spans as they were sent."""
    sql = f"""
        SELECT TraceId AS traceID, SpanId AS spanID, ParentSpanId AS parentSpanID, ServiceName AS serviceName,
        SpanName AS operationName, toUnixTimestamp64Nano(Timestamp) / 1e6 AS startTime, Duration / 1e6 AS duration,
        arrayMap(key -> map('key', key, 'value', SpanAttributes[key]), mapKeys(SpanAttributes)) AS tags,
        arrayMap(key -> map('key', key, 'value', ResourceAttributes[key]), mapKeys(ResourceAttributes)) AS serviceTags,
        if(StatusCode = 'Error', 2, 0) AS statusCode
        FROM otel_traces WHERE TraceId = (SELECT any(TraceId) FROM agent_steps WHERE {THIS})
        ORDER BY startTime LIMIT {MOST_STEPS}
    """
    return (
        dashboard.Panel()
        .type("traces")
        .title("Spans")
        .description("The trace as it was sent, before it was understood; of a run of several traces, one.")
        .datasource(STORE)
        .with_target(traces(sql))
        .span(24)
        .height(14)
    )
