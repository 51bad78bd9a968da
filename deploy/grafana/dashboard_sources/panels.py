"""The kinds of panel there are, in one look: a figure, lines, bars over time, a ranking, a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge, common, dashboard, stat, timeseries
from grafana_foundation_sdk.builders import table as rows_panel
from grafana_foundation_sdk.cog import builder, variants
from grafana_foundation_sdk.models import common as model
from grafana_foundation_sdk.models import dashboard as board
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from dashboard_sources.palette import CALM, by_name, by_threshold, series_colours, thresholds
from dashboard_sources.queries import METRICS, STORE, Question

Panel = builder.Builder[board.Panel]
Target = builder.Builder[variants.Dataquery]
Columns = Mapping[str, Sequence[DynamicConfigValue]]
P = TypeVar("P", stat.Panel, timeseries.Panel, bargauge.Panel, rows_panel.Panel)
FIGURE_HEIGHT, LINES_HEIGHT, TABLE_HEIGHT = 4, 8, 9


def figure(
    title: str,
    about: str,
    target: Target,
    unit: str = "short",
    marks: dashboard.ThresholdsConfig | None = None,
    width: int = 4,
) -> stat.Panel:
    """Show one figure, or one for each column of a row."""
    return (
        _framed(stat.Panel(), title, about, [target], width, FIGURE_HEIGHT)
        .unit(unit)
        .no_value("0")
        .thresholds(marks or thresholds(below=CALM))
        .color_scheme(by_threshold())
        .color_mode(model.BigValueColorMode.VALUE)
        .graph_mode(model.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def lines(
    title: str,
    about: str,
    targets: Sequence[Target] | Target,
    unit: str = "short",
    width: int = 12,
    colours: Mapping[str, str] | None = None,
) -> timeseries.Panel:
    """Show how figures go over time."""
    panel = _over_time(title, about, targets, unit, width, colours)
    return panel.line_width(2).fill_opacity(8).show_points(model.VisibilityMode.AUTO).span_nulls(span_nulls=True)


def bars(
    title: str,
    about: str,
    targets: Sequence[Target] | Target,
    unit: str = "short",
    width: int = 12,
    colours: Mapping[str, str] | None = None,
) -> timeseries.Panel:
    """Show counts over time, stacked."""
    stacked = common.StackingConfig().mode(model.StackingMode.NORMAL).group("A")
    panel = _over_time(title, about, targets, unit, width, colours)
    return panel.draw_style(model.GraphDrawStyle.BARS).fill_opacity(80).line_width(0).stacking(stacked)


def ranking(
    title: str, about: str, target: Target, unit: str = "short", width: int = 8, color: str = CALM
) -> bargauge.Panel:
    """Show rows of a name and a figure as bars, largest first."""
    return (
        _framed(bargauge.Panel(), title, about, [target], width, LINES_HEIGHT)
        .unit(unit)
        .min(0)
        .thresholds(thresholds(below=color))
        .color_scheme(by_threshold())
        .orientation(model.VizOrientation.HORIZONTAL)
        .display_mode(model.BarGaugeDisplayMode.GRADIENT)
        .name_placement(model.BarGaugeNamePlacement.LEFT)
        .show_unfilled(show_unfilled=True)
        .reduce_options(common.ReduceDataOptions().values(values=True).limit(10))
    )


def rows(
    title: str, about: str, target: Target, columns: Columns, width: int = 24, height: int = TABLE_HEIGHT
) -> rows_panel.Panel:
    """Show a table; `columns` say how to show those that are more than a text or a number."""
    panel = (
        _framed(rows_panel.Panel(), title, about, [target], width, height)
        .cell_height(model.TableCellHeight.SM)
        .filterable(filterable=True)
        .no_value("")
    )
    for name, properties in columns.items():
        panel = panel.override_by_name(name, list(properties))
    return panel


def _over_time(
    title: str,
    about: str,
    targets: Sequence[Target] | Target,
    unit: str,
    width: int,
    colours: Mapping[str, str] | None,
) -> timeseries.Panel:
    asked = list(targets) if isinstance(targets, Sequence) else [targets]
    legend = common.VizLegendOptions().display_mode(model.LegendDisplayMode.LIST)
    tooltip = common.VizTooltipOptions().mode(model.TooltipDisplayMode.MULTI).sort(model.SortOrder.DESCENDING)
    panel = (
        _framed(timeseries.Panel(), title, about, asked, width, LINES_HEIGHT)
        .unit(unit)
        .min(0)
        .color_scheme(by_name())
        .legend(legend.placement(model.LegendPlacement.BOTTOM).show_legend(show_legend=True))
        .tooltip(tooltip)
    )
    for name, properties in series_colours(colours or {}):
        panel = panel.override_by_name(name, properties)
    return panel


def _framed(panel: P, title: str, about: str, targets: Sequence[Target], width: int, height: int) -> P:
    panel.title(title).description(about).datasource(source_of(targets[0])).span(width).height(height)
    for target in targets:
        panel.with_target(target)
    return panel


def source_of(target: Target) -> DataSourceRef:
    """Say which data source a target asks."""
    return STORE if isinstance(target, Question) else METRICS
