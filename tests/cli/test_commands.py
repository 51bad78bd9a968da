"""The command line, as a process: help that teaches, exit codes that mean something, output for people and programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from collector.roles import Roles, asked_for

COMMAND = [sys.executable, "-m", "collector.cli.main"]
COMMANDS = (
    "up",
    "run",
    "validate",
    "components",
    "print-config",
    "detections",
    "runs",
    "diagnose",
    "approvals list",
    "approvals approve",
    "approvals reject",
    "policies show",
    "asyncapi",
    "bus check",
    "bus repair",
    "store check",
    "store repair",
    "topics create",
    "topics describe",
    "topics check",
    "dead-letters list",
    "dead-letters replay",
    "keys new",
    "keys hash",
    "demo",
)


def tracemend(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = tracemend(*command.split(), "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout


def test_validate_names_all_mistakes_and_exits_with_2(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("healing:\n  dryrun: true\nbuss: {}\n")
    done = tracemend("validate", "--config", str(file))
    assert done.returncode == 2
    assert f"{file}:2: healing::dryrun: unknown key 'dryrun'; did you mean 'dry_run'?" in done.stderr
    assert f"{file}:3: buss: unknown section; did you mean 'bus'?" in done.stderr
    assert "2 problems" in done.stderr
    assert "Traceback" not in done.stderr


def test_validate_is_content_with_the_defaults() -> None:
    done = tracemend("validate")
    assert (done.returncode, done.stdout) == (0, "the configuration is valid\n")


def test_print_config_redacts_secrets() -> None:
    done = tracemend("print-config", "--set", "sinks::clickhouse::dsn=clickhouse://me:hunter2@host:8123/db")
    assert done.returncode == 0
    assert "hunter2" not in done.stdout
    assert "[REDACTED]" in done.stdout


def test_components_are_listed_for_programs_too() -> None:
    parts = [json.loads(line) for line in tracemend("components", "--format", "jsonl").stdout.splitlines()]
    assert {part["kind"] for part in parts} >= {"otlp", "loop", "cost", "clickhouse", "clickhouse_http"}


def test_reading_a_data_dir_in_which_nothing_ran_finds_nothing(tmp_path: Path) -> None:
    done = tracemend("detections", "--format", "jsonl", "--data-dir", str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("detections", "--format", "xml"),
        ("detections", "--since", "yesterday"),
        ("approvals", "approve", "nothing"),
        ("run", "--only", "nonsense"),
        ("nonsense",),
    ],
)
def test_wrong_usage_exits_with_2_and_no_traceback(arguments: tuple[str, ...], tmp_path: Path) -> None:
    data_dir = () if arguments == ("nonsense",) else ("--data-dir", str(tmp_path / "d"))
    done = tracemend(*arguments, *data_dir)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_key_is_made_with_the_entry_that_lets_it_in(tmp_path: Path) -> None:
    made = json.loads(tracemend("keys", "new", "--tenant", "acme", "--format", "json").stdout)
    hashed = subprocess.run(
        [*COMMAND, "keys", "hash", "--tenant", "acme"], input=made["key"], capture_output=True, text=True, check=True
    )
    entry = tmp_path / "keys.yaml"
    entry.write_text(hashed.stdout)
    assert made["hash"] in hashed.stdout
    assert made["key"] not in hashed.stdout
    assert tracemend("validate", "--config", str(entry)).returncode == 0


def test_a_new_key_is_in_no_file_that_its_entry_goes_to() -> None:
    done = tracemend("keys", "new", "--tenant", "acme")
    key = done.stderr.split()[-1]
    assert key.startswith("tm_")
    assert "hash: sha256:" in done.stdout
    assert key not in done.stdout


def test_a_key_that_could_be_guessed_is_not_hashed() -> None:
    done = subprocess.run([*COMMAND, "keys", "hash"], input="secret", capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "tracemend keys new" in done.stderr


def test_a_door_to_the_network_without_keys_is_not_opened(tmp_path: Path) -> None:
    done = tracemend("up", "--data-dir", str(tmp_path), "--set", "receivers::otlp::protocols::grpc::endpoint=0.0.0.0:0")
    assert done.returncode == 2
    assert "no API keys are configured" in done.stderr


def test_up_takes_more_descriptors_than_it_was_started_with() -> None:
    code = (
        "import resource; from collector.cli.up import use_all_descriptors; use_all_descriptors(); "
        "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    started = ["sh", "-c", f"ulimit -Sn 256; ulimit -Hn 4096; exec {sys.executable} -c '{code}'"]
    done = subprocess.run(started, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4096", "4096"]


@pytest.mark.parametrize(
    ("only", "runs", "not_"),
    [(["healing"], ["healing", "policies"], ["sinks"]), (["policies"], ["policies"], ["healing"]), ([], ["sinks"], [])],
)
def test_who_runs_healing_has_guards_answered_as_well(only: list[str], runs: list[str], not_: list[str]) -> None:
    roles = Roles(asked_for(only))
    assert all(roles.runs(role) for role in runs)
    assert not any(roles.runs(role) for role in not_)


def test_a_reader_that_goes_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [*COMMAND, "asyncapi"]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_components_say_how_ready_each_detector_is() -> None:
    parts = [json.loads(line) for line in tracemend("components", "--format", "jsonl").stdout.splitlines()]
    ready = {part["kind"]: part["readiness"] for part in parts}
    assert ready["otlp"] is None
    assert {ready["loop"], ready["tool_error"]} <= {"production", "beta", "experimental", "unmeasured"}


def test_a_threshold_is_set_for_what_is_told_only_and_the_nearest_is_offered(tmp_path: Path) -> None:
    done = tracemend("thresholds", "set", "lop", "0.8", "--data-dir", str(tmp_path))
    assert done.returncode == 2
    assert "nothing is told as 'lop'; did you mean 'loop'?" in done.stderr
    assert "did you mean 'corruption'?" in tracemend("thresholds", "set", "corruptions", "0.8").stderr
