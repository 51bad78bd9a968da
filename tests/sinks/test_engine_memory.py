"""The embedded engine keeps to its part of the memory, its merges to theirs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from sinks.engine_memory import MERGES, OTHERS, engine_settings, merge_in_little_memory
from sinks.store import Store

ASK = """
import json, sys
from sinks.store import Store, StoreUnavailable
store = Store(f"chdb:///{sys.argv[1]}", json.loads(sys.argv[2]))
told = {row["name"]: int(row["value"]) for row in store.query("SELECT name, value FROM system.server_settings")
        if row["name"] in json.loads(sys.argv[2])}
try:
    list(store.query("SELECT length(groupArray(number)) AS n FROM numbers(100000000)"))
    refused = False
except StoreUnavailable:
    refused = True
print(json.dumps([told, refused]))
"""


def test_the_engine_takes_no_more_than_it_was_told(tmp_path: Path) -> None:
    wanted = dict(engine_settings(200 << 20))
    # In a process of its own: an engine is told once, by whoever opens it first.
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(tmp_path / "store"), json.dumps(wanted)],
        capture_output=True, text=True, check=True, timeout=100,
    )  # fmt: skip
    told, refused = json.loads(done.stdout.splitlines()[-1])
    assert told == wanted
    assert refused


def test_every_table_is_told_once_to_merge_column_by_column(store: Store) -> None:
    merge_in_little_memory(store)
    assert not list(store.query(OTHERS))
    (row,) = store.query("SELECT create_table_query AS made FROM system.tables WHERE name = 'agent_steps'")
    assert all(f"{name} = {value}" in row["made"] for name, value in MERGES.items())
