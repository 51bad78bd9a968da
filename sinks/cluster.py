"""A cluster of ClickHouse servers, as the sink needs it: replicas of one shard, each with all tables."""

from __future__ import annotations

from sinks.schema import Asked
from sinks.store import StoreAsks
from sinks.table_layout import literal

SHAPE = (
    "SELECT uniqExact(shard_num) AS shards, count() AS replicas FROM system.clusters WHERE cluster = {cluster:String}"
)
KNOWN = "SELECT DISTINCT cluster FROM system.clusters ORDER BY cluster LIMIT 20"
TABLES = (
    "SELECT count() AS tables FROM clusterAllReplicas({cluster}, system.tables) WHERE database = {database} "
    "GROUP BY hostName(), tcpPort() SETTINGS skip_unavailable_shards = 1"
)


def check_cluster(store: Asked, cluster: str) -> int:
    """Count the replicas of a cluster; raises StoreAsks for one that is none, or has several shards."""
    (shape,) = store.query(SHAPE, {"cluster": cluster})
    if not shape["replicas"]:
        known = ", ".join(row["cluster"] for row in store.query(KNOWN)) or "none"
        raise StoreAsks(f"sinks::clickhouse::cluster: the server knows no cluster {cluster!r}; it knows: {known}")
    if shape["shards"] > 1:
        raise StoreAsks(
            f"sinks::clickhouse::cluster: {cluster!r} has {shape['shards']} shards; a sink writes to replicas of one: "
            "tokens are remembered by each shard for itself. Name a cluster of one shard"
        )
    return int(shape["replicas"])


def tables_are_everywhere(store: Asked, cluster: str, database: str, replicas: int) -> bool:
    """Say whether every replica has as many tables as the others: one that was added later has none."""
    found = [row["tables"] for row in store.query(TABLES.format(cluster=literal(cluster), database=literal(database)))]
    return len(found) == replicas and len(set(found)) == 1
