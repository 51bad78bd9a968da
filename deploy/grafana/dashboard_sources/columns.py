"""How columns of tables are shown, and where their links lead."""

from __future__ import annotations

from collections.abc import Mapping

from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from dashboard_sources.palette import EVENTS, RISKS, SEVERITIES, STATUSES, coloured, prop

Column = list[DynamicConfigValue]
RUN_URL = (
    "/d/tracemend-run?var-tenant=${__data.fields.Tenant:percentencode}&var-run=${__data.fields.Run:percentencode}"
    "&from=${__data.fields.run_from}&to=${__data.fields.run_to}"
)
RUN_BOUNDS = """
    toString(toUnixTimestamp64Milli(Began) - 1000) AS run_from, toString(toUnixTimestamp64Milli(Ended) + 1000) AS run_to
"""
"""Columns that the link to a run needs, as texts: Grafana writes numbers its own way."""
AGENT_URL = (
    ""
    "/d/tracemend-fleet?var-service=${__data.fields.Service:percentencode}&var-agent=${__data.fields.Agent:percentencode}&${__url_time_range}"
)


def wide(width: int) -> Column:
    """Give a column a width, in pixels."""
    return [prop("custom.width", width)]


def measured(unit: str, width: int = 110, decimals: int | None = None) -> Column:
    """Give a column of numbers its unit."""
    column = [prop("unit", unit), *wide(width)]
    return column if decimals is None else [*column, prop("decimals", decimals)]


def barred(unit: str, color: str) -> Column:
    """Show a column of numbers as bars beside their figures."""
    return [
        prop("unit", unit),
        prop("min", 0),
        prop("color", {"mode": "fixed", "fixedColor": color}),
        prop("custom.cellOptions", {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}),
        *wide(150),
    ]


def hidden() -> Column:
    """Keep a column for links only."""
    return [prop("custom.hidden", True), prop("custom.hideFrom", {"viz": True, "legend": True, "tooltip": True})]  # noqa: FBT003


def linked(title: str, url: str, width: int = 120) -> Column:
    """Make a column lead somewhere."""
    return [prop("links", [{"title": title, "url": url}]), *wide(width)]


SEVERITY: Column = [*coloured(SEVERITIES), *wide(90)]
STATUS: Column = [*coloured(STATUSES), *wide(90)]
RISK: Column = [*coloured(RISKS), *wide(110)]
EVENT: Column = [*coloured(EVENTS), *wide(110)]
WHEN: Column = [prop("unit", "time:YYYY-MM-DD HH:mm:ss"), *wide(165)]
CONFIDENCE: Column = measured("percentunit", 90, 0)
USD: Column = measured("currencyUSD", 110, 4)
RUN: Mapping[str, Column] = {
    "Run": linked("Open the run", RUN_URL),
    "Tenant": wide(90),
    "run_from": hidden(),
    "run_to": hidden(),
}
"""A run and what its link needs."""
