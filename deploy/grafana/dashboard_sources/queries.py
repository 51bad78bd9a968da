"""What panels ask: SQL for Grafana's ClickHouse plugin, PromQL for Prometheus, and the filters every panel shares."""

from __future__ import annotations

from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog import builder, variants
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

CLICKHOUSE_PLUGIN = "grafana-clickhouse-datasource"
STORE = DataSourceRef(type_val=CLICKHOUSE_PLUGIN, uid="${store}")
METRICS = DataSourceRef(type_val="prometheus", uid="${metrics}")
TIME_SERIES, TABLE, TRACES = 0, 1, 3
"""What the plugin makes of an answer: its numbers."""
QUERY_TYPES = {TIME_SERIES: "timeseries", TABLE: "table", TRACES: "traces"}


class StoreQuery(variants.Dataquery):
    """One question to the store, as the plugin keeps it."""

    def __init__(self, sql: str, answer: int) -> None:
        self.sql, self.answer, self.ref_id = one_line(sql), answer, "A"

    def to_json(self) -> dict[str, object]:
        """Write it as the plugin reads it."""
        return {
            "refId": self.ref_id,
            "datasource": STORE,
            "editorType": "sql",
            "queryType": QUERY_TYPES[self.answer],
            "format": self.answer,
            "rawSql": self.sql,
        }


class Question(builder.Builder[variants.Dataquery]):
    """What panels take as a target."""

    def __init__(self, query: variants.Dataquery) -> None:
        self._query = query

    def build(self) -> variants.Dataquery:
        """Give the query."""
        return self._query


def table(sql: str) -> Question:
    """Ask for rows; column names are what people read."""
    return Question(StoreQuery(sql, TABLE))


def series(sql: str) -> Question:
    """Ask for lines: a column `time` in order, labels (texts), and numbers."""
    return Question(StoreQuery(sql, TIME_SERIES))


def traces(sql: str) -> Question:
    """Ask for a waterfall: the columns that Grafana's trace view knows."""
    return Question(StoreQuery(sql, TRACES))


def metric(expression: str, legend: str, ref: str = "A", *, now: bool = False) -> prometheus.Dataquery:
    """Ask Prometheus; `now` for one figure instead of a line."""
    query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(ref).datasource(METRICS)
    return query.instant().format(PromQueryFormat.TABLE) if now else query.range()


def one_line(sql: str) -> str:
    """Write SQL without the indentation it has in Python."""
    return "\n".join(line.strip() for line in sql.strip().splitlines())


def picked(*columns: str) -> str:
    """Filter by what is picked above the dashboard; nothing picked lets everything through.

    `Agents` is a list, every other column one name.
    """
    return " AND ".join(_picked(column) for column in columns)


def _picked(column: str) -> str:
    name = column.rsplit(".", 1)[-1].lower()
    if name == "agents":
        return f"$__conditionalAll(hasAny({column}, [${{agent:singlequote}}]), $agent)"
    return f"$__conditionalAll({column} IN (${{{name}:singlequote}}), ${name})"


WHOSE = picked("Tenant", "Service", "Agent")
STEPS = f"agent_steps AS s FINAL WHERE NOT Retracted AND $__timeFilter(Start) AND {WHOSE}"
"""The steps that are in view, after `FROM`."""
DETECTIONS = f"detections_latest WHERE Status != 'withdrawn' AND $__timeFilter(DetectedAt) AND {WHOSE}"
COSTS = f"cost_metrics_rows AS c FINAL WHERE $__timeFilter(At) AND {WHOSE}"
HEALING = f"healing AS h FINAL WHERE $__timeFilter(At) AND {WHOSE}"
APPROVALS = f"approvals AS a FINAL WHERE $__timeFilter(At) AND {WHOSE}"
POLICIES = f"policies AS p FINAL WHERE {WHOSE}"
FAILED = "(Error != '' OR ErrorType != '')"
CALL = "Kind IN ('llm', 'tool')"
RULES = "JSONExtractArrayRaw(p.Json, 'rules')"
EXPIRES = "parseDateTime64BestEffortOrNull(JSONExtractString(rule, 'expires_at'), 3, 'UTC')"
IN_FORCE = f"(isNull({EXPIRES}) OR {EXPIRES} > now64(3))"
