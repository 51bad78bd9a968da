"""Every question of every dashboard, asked of a store and of metrics that the real pipeline filled."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import prometheus_client
import promql_parser
import pytest
from dashboard_files import METRICS, STORE, Asked, dashboards, every_question, panels
from demo_data import DemoPipeline
from grafana_macros import expanded

import schemas.metrics

pytestmark = pytest.mark.timeout(300)  # the first test waits until the pipeline has found everything
ASKED = list(every_question())
OF_THE_STORE = [one for one in ASKED if one.source == STORE]
OF_METRICS = [one for one in ASKED if one.source == METRICS]
TIME_SERIES = 0
FIELD = re.compile(r"\$\{__data\.fields\.(\w+)")
GIVEN_BY_PROMETHEUS = {"instance", "job", "le"}
HARD_TO_PROVOKE = {"otelcol_receiver_refused_spans", "tracemend_stage_failures", "tracemend_group_lag_records"}
"""Metrics that a healthy pipeline has no sample of, or one without Kafka: only that they exist is checked."""
ODD_NAMES = ["weather_agent", "O'Brien", "a\\b", "$run ${tenant}", ""]


@pytest.mark.parametrize("asked", OF_THE_STORE, ids=lambda one: one.where)
def test_every_question_to_the_store_is_answered_with_rows(demo: DemoPipeline, asked: Asked) -> None:
    rows = demo.rows(expanded(asked.text, demo.view))
    assert rows
    assert any(value not in (None, "") for row in rows for value in row.values())
    if asked.answer == TIME_SERIES:
        assert next(iter(rows[0])) == "time"
        assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)


def test_names_with_quotes_and_signs_in_them_can_be_picked(demo: DemoPipeline) -> None:
    narrow = replace(demo.view, picked=dict.fromkeys(("tenant", "service", "agent"), ODD_NAMES) | {"run": "a'b"})
    refused = []
    for asked in OF_THE_STORE:
        try:
            demo.rows(expanded(asked.text, narrow))
        except RuntimeError as error:
            refused.append((asked.where, str(error)[:300]))
    assert refused == []


def test_picking_an_agent_leaves_only_its_rows(demo: DemoPipeline) -> None:
    narrow = replace(demo.view, picked={**demo.view.picked, "agent": ["claude-code"]})
    seen = {
        row["Agent"]
        for asked in OF_THE_STORE
        for row in demo.rows(expanded(asked.text, narrow))
        if "Agent" in row and "/$" not in asked.where and "run_explorer/" not in asked.where
    }
    assert seen == {"claude-code"}


@pytest.mark.parametrize("name", dashboards())
def test_what_tables_say_about_columns_is_about_columns_there_are(demo: DemoPipeline, name: str) -> None:
    for panel in [panel for panel in panels(dashboards()[name]) if panel["type"] == "table"]:
        columns = set(demo.rows(expanded(panel["targets"][0]["rawSql"], demo.view))[0])
        said = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
        assert said <= columns, panel["title"]
        assert set(FIELD.findall(str(panel["fieldConfig"]))) <= columns, panel["title"]


@pytest.mark.parametrize("asked", OF_METRICS, ids=lambda one: one.where)
def test_every_question_to_prometheus_is_about_metrics_and_labels_there_are(demo: DemoPipeline, asked: Asked) -> None:
    exposed = samples(demo.pipeline.get("metrics", "/metrics")[1].decode())
    for selector in selectors(promql_parser.parse(asked.text.replace("$__rate_interval", "1m"))):
        assert selector.name in exposed or selector.name in HARD_TO_PROVOKE
        assert {matcher.name for matcher in selector.matchers.matchers} <= labels_of(selector.name)
        for grouped in re.findall(r"by \(([^)]*)\)", asked.text):
            assert {name.strip() for name in grouped.split(",")} <= labels_of(selector.name)


def samples(text: str) -> set[str]:
    """Name the metrics that have a sample."""
    return {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}


def selectors(expression: Any) -> list[Any]:
    """Find the metrics that an expression reads."""
    found: list[Any] = []

    def look(part: Any) -> bool:
        if isinstance(part, promql_parser.VectorSelector):
            found.append(part)
        return True

    promql_parser.walk(expression, pre_visit=look)
    return found


def labels_of(metric: str) -> set[str]:
    """Say which labels our own metric has."""
    for one in vars(schemas.metrics).values():
        if isinstance(one, prometheus_client.metrics.MetricWrapperBase) and one._name == metric.removesuffix("_bucket"):
            return {*one._labelnames, *GIVEN_BY_PROMETHEUS}
    raise AssertionError(f"{metric} is no metric of ours")
