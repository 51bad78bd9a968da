"""What may be said of the store, and what cannot be together."""

from __future__ import annotations

import pytest

from collector.components import registry
from collector.stores import wrong_stores
from config.problems import ConfigError
from config.sources import gather
from config.validation import validate

SERVER = "sinks::clickhouse::dsn=clickhouse://u:s3cr3t@db/obs"


def refused(*set_: str) -> str:
    given = [one if "dsn" in one else f"sinks::clickhouse::{one}" for one in set_]
    with pytest.raises(ConfigError) as error:
        validate(gather([], given), registry(), wrong_stores)
    return str(error.value)


@pytest.mark.parametrize(
    ("set_", "told"),
    [
        (["cluster=main"], "sinks::clickhouse::cluster: only a server has it"),
        (["reader={user: g, password: p}"], "sinks::clickhouse::reader: only a server has it"),
        ([SERVER, "hot_days=7"], "sinks::clickhouse::hot_days: say where older rows go: cold_volume"),
        ([SERVER, "cold_volume=slow"], "sinks::clickhouse::cold_volume: say from when on rows go there: hot_days"),
        (
            [SERVER, "hot_days=90", "cold_volume=slow"],
            "rows are deleted after 90 days, before they would move",
        ),
        ([SERVER, "delete_after_days=0"], "sinks::clickhouse::delete_after_days: input should be greater than"),
        (
            [SERVER.replace("/obs", ":9440/obs")],
            "sinks::clickhouse::dsn: 9440 is the port of",
        ),
    ],
)
def test_what_cannot_be_is_told_with_what_to_do(set_: list[str], told: str) -> None:
    said = refused(*set_)
    assert told in said
    assert "s3cr3t" not in said


def test_all_of_it_together_is_fine() -> None:
    given = ["cluster=main", "hot_days=7", "cold_volume=slow", "storage_policy=t", "delete_after_days=30"]
    given += ["reader={user: g, password: p}", "timeout_seconds=5"]
    settings = validate(gather([], [SERVER, *(f"sinks::clickhouse::{one}" for one in given)]), registry(), wrong_stores)
    assert settings.sinks["clickhouse"].reader.user == "g"
