"""What every dashboard has around its panels: filters, links to the others, time, marks of what was mended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

from dashboard_sources.panels import Panel
from dashboard_sources.queries import CLICKHOUSE_PLUGIN, STORE, WHOSE, Question, one_line, picked, table

TAG = "tracemend"
WIDTH = 24
"""Columns of Grafana's grid."""
ALL = model.VariableOption(text="All", value="$__all")


class Section(NamedTuple):
    """A row of a dashboard and the panels below it."""

    title: str
    panels: Sequence[Panel]


def assembled(
    name: str,
    title: str,
    about: str,
    sections: Sequence[Section],
    extra: Sequence[build.QueryVariable] = (),
    marks: Sequence[build.AnnotationQuery] = (),
) -> build.Dashboard:
    """Put a dashboard together; `name` is what links to it say after `tracemend-`."""
    board = (
        build.Dashboard(f"tracemend · {title}")
        .uid(f"{TAG}-{name}")
        .description(about)
        .tags([TAG])
        .timezone("browser")
        .time("now-6h", "now")
        .refresh("30s")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(_to_the_others())
        .annotations([])
    )
    for variable in (*sources(), *filters(), *extra):
        board.with_variable(variable)
    for mark in marks:
        board.annotation(mark)
    number = 0
    for section in sections:
        board.with_row(build.Row(section.title))
        for band in bands(section.panels):
            height = max(_place(panel).h for panel in band)
            for panel in band:
                number += 1
                panel.build().id_val = number
                _place(panel).h = height
                board.with_panel(panel)
    return board


def bands(panels: Sequence[Panel]) -> Iterator[list[Panel]]:
    """Split panels into those that stand side by side; they get one height."""
    band: list[Panel] = []
    for panel in panels:
        if sum(_place(one).w for one in band) + _place(panel).w > WIDTH:
            yield band
            band = []
        band.append(panel)
    yield band


def _place(panel: Panel) -> model.GridPos:
    place = panel.build().grid_pos
    if place is None:
        raise ValueError("a panel has neither width nor height")
    return place


def sources() -> tuple[build.DatasourceVariable, ...]:
    """Let people pick other data sources than those that are provisioned."""
    return (
        build.DatasourceVariable("store").label("Store").type(CLICKHOUSE_PLUGIN).current(_named(f"{TAG}-clickhouse")),
        build.DatasourceVariable("metrics").label("Metrics").type("prometheus").current(_named(f"{TAG}-prometheus")),
    )


def filters() -> tuple[build.QueryVariable, ...]:
    """Let people pick whose runs they see."""
    seen = "FROM agent_steps WHERE $__timeFilter(Start)"
    within = f"{seen} AND {picked('Tenant')}"
    return (
        several("tenant", "Tenant", f"SELECT DISTINCT Tenant {seen} ORDER BY Tenant"),
        several("service", "Service", f"SELECT DISTINCT Service {within} AND Service != '' ORDER BY Service"),
        several(
            "agent",
            "Agent",
            f"SELECT DISTINCT Agent {within} AND {picked('Service')} AND Agent != '' ORDER BY Agent",
        ),
    )


def several(name: str, label: str, sql: str) -> build.QueryVariable:
    """Let people pick any number of what a question to the store answers, or all."""
    return one(name, label, sql).multi(multi=True).include_all(include_all=True).current(ALL)


def one(name: str, label: str, sql: str) -> build.QueryVariable:
    """Let people pick one of what a question to the store answers."""
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(STORE)
        .query({"refId": name, "editorType": "sql", "queryType": "table", "format": 1, "rawSql": one_line(sql)})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.DISABLED)
    )


def mark(name: str, color: str, question: Question) -> build.AnnotationQuery:
    """Mark moments on every panel over time: `time`, `title`, `text`, `tags`."""
    marks = build.AnnotationQuery().name(name).enable(enable=True).icon_color(color).datasource(STORE).target(question)
    marks.build().placement = None  # type: ignore[assignment]  # the kit's own choice is a menu that nobody opens
    return marks


def mended() -> build.AnnotationQuery:
    """Mark when fixes came into force, or were taken back."""
    return mark(
        "Fixes",
        "blue",
        table(f"""
            SELECT At AS time, concat(FixType, ' ', Event) AS title,
            concat(Agent, ': ', Reason) AS text, DetectionType AS tags
            FROM healing AS h FINAL WHERE $__timeFilter(At) AND Event IN ('applied', 'rolled_back') AND {WHOSE}
            ORDER BY At
        """),
    )


def _to_the_others() -> build.DashboardLink:
    link = build.DashboardLink("tracemend").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    link.build().placement = None  # type: ignore[assignment]  # as above
    return link.include_vars(include_vars=True).keep_time(keep_time=True)


def _named(uid: str) -> model.VariableOption:
    return model.VariableOption(text=uid, value=uid)
