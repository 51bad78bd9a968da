"""How the tables are laid out: on one server or a cluster, for how many days, and where the old ones are.

Migrations are written for one server and 90 days, so that each can be read and run as it stands; here they are
rewritten for what is configured.
"""

from __future__ import annotations

import re
from typing import NamedTuple

RETENTION_DAYS = 90
"""How long rows are kept where nothing else is configured; migrations say the same."""
REMEMBERED_SECONDS = 7 * 86_400
"""How long a replicated table remembers tokens: a sink may be away over a weekend; by itself it does for an hour."""
CREATES = re.compile(
    r"^(CREATE (?:TABLE|VIEW|MATERIALIZED VIEW) IF NOT EXISTS|CREATE OR REPLACE VIEW|ALTER TABLE) (\w+)", re.MULTILINE
)
ENGINE = re.compile(r"ENGINE = (Replacing)?MergeTree(?:\((\w+)\))?")
KEEPER_PATH = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
"""Named, not by uuid: a replica that is added later finds its table. The server's macros fill it in."""
TOKENS = re.compile(r"non_replicated_deduplication_window = (\d+)")
KEPT = re.compile(r"^TTL (toDate\(\w+\)) \+ toIntervalDay\(\d+\)", re.MULTILINE)


class Layout(NamedTuple):
    """What is configured; empty or None is the default. Days count from the day a row is dated."""

    cluster: str = ""
    hot_days: int | None = None
    delete_after_days: int | None = None
    cold_volume: str = ""
    storage_policy: str = ""

    @property
    def days(self) -> int:
        """Say how many days rows are kept."""
        return self.delete_after_days or RETENTION_DAYS

    @property
    def says_how_long(self) -> bool:
        """Say whether anything but the default was asked for."""
        return bool(self.delete_after_days or self.hot_days)

    def on_cluster(self) -> str:
        """Write what stands behind the name of what is created."""
        return f" ON CLUSTER {quoted(self.cluster)}" if self.cluster else ""

    def ttl(self, date: str) -> str:
        """Write when rows of a date move and when they go, as the server writes it back."""
        gone = f"{date} + toIntervalDay({self.days})"
        if not self.hot_days:
            return gone
        return f"{date} + toIntervalDay({self.hot_days}) TO VOLUME {literal(self.cold_volume)}, {gone}"


def laid_out(statement: str, layout: Layout) -> str:
    """Rewrite a statement of a migration for a layout."""
    dated = KEPT.search(statement)
    if dated is not None:
        statement = KEPT.sub(lambda found: f"TTL {layout.ttl(found[1])}", statement)
        if layout.storage_policy:
            statement = _with_setting(statement, f"storage_policy = {literal(layout.storage_policy)}")
    return _on_cluster(statement, layout) if layout.cluster else statement


def dated_tables(statements: list[str]) -> dict[str, str]:
    """Find the tables whose rows go some day: the expression of the day they are dated, by table."""
    found = {}
    for statement in statements:
        created, dated = CREATES.search(statement), KEPT.search(statement)
        if created is not None and dated is not None:
            found[created[2]] = dated[1]
    return found


def quoted(name: str) -> str:
    """Write a name as an identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def literal(text: str) -> str:
    """Write a text as a literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _on_cluster(statement: str, layout: Layout) -> str:
    statement = CREATES.sub(lambda found: f"{found[0]}{layout.on_cluster()}", statement, count=1)
    statement = ENGINE.sub(_replicated, statement)
    return TOKENS.sub(
        lambda found: (
            f"replicated_deduplication_window = {found[1]}, "
            f"replicated_deduplication_window_seconds = {REMEMBERED_SECONDS}"
        ),
        statement,
    )


def _replicated(found: re.Match[str]) -> str:
    column = f", {found[2]}" if found[2] else ""
    return f"ENGINE = Replicated{found[1] or ''}MergeTree({KEEPER_PATH}{column})"


def _with_setting(statement: str, setting: str) -> str:
    before, settings, after = statement.partition("\nSETTINGS ")
    return f"{before}{settings}{setting}, {after}" if settings else f"{statement}\nSETTINGS {setting}"
