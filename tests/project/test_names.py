"""The tree reads well: no vague names, every file of a span's journey exists, the README's numbers and names hold."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VAGUE = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "base", "core", "misc", "stuff"}
PACKAGES = ("collector", "config", "deploy", "healing", "processors", "schemas", "sinks", "tests")


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [Path(line) for line in listed.stdout.splitlines()]


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    vague = [str(path) for path in tracked() if VAGUE & {part.rsplit(".", 1)[0].lower() for part in path.parts}]
    assert vague == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_top_level_folder_says_what_is_in_it(package: str) -> None:
    assert (ROOT / package / "README.md").read_text().startswith("# ")


def test_every_file_of_a_spans_journey_exists() -> None:
    journey = (ROOT / "README.md").read_text().split("## A span's journey", 1)[1].split("\n## ", 1)[0]
    files = re.findall(r"`([a-z_]+/[a-z_/.]+)`", journey)
    assert len(files) >= 8
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_every_module_begins_by_saying_what_is_in_it() -> None:
    modules = [path for path in tracked() if path.suffix == ".py"]
    silent = [str(path) for path in modules if not (ROOT / path).read_text().lstrip().startswith(('"""', "#!"))]
    assert silent == []


def test_no_data_sets_strings_stand_in_the_code() -> None:
    shipped = [path for path in tracked() if path.suffix in (".py", ".yaml") and path.parts[0] in PACKAGES[:-1]]
    named = re.compile(r"gaia|swe-?bench|tau-?bench|agentdojo|halueval|who&when|pisama", re.IGNORECASE)
    assert [str(path) for path in shipped if named.search((ROOT / path).read_text())] == []
