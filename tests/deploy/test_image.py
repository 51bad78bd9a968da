"""The image: what goes into it is the program and nothing else, it is no root, and its health check tells the truth."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path

import pytest
from demo_data import DemoPipeline
from program_commands import DEPLOY, ROOT
from tools import installed

DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return listed.stdout.splitlines()


def reaches_the_builder(path: str) -> bool:
    """Say whether .dockerignore lets a file through: of its lines, the last that fits counts."""
    through = True
    for line in IGNORED:
        pattern = line.removeprefix("!").replace("**/", "*")
        if fnmatch.fnmatch(path, pattern) or (fnmatch.fnmatch(path, f"{pattern.rstrip('*')}*") and "/" in pattern):
            through = line.startswith("!")
    return through


def test_the_dockerfile_is_as_hadolint_wants_it() -> None:
    done = subprocess.run(
        [installed("hadolint"), str(DEPLOY / "Dockerfile")], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout + done.stderr == ""


def test_the_builder_sees_the_packages_and_nothing_else() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    seen = [path for path in tracked() if reaches_the_builder(path)]
    assert {Path(path).parts[0] for path in seen} == {
        *(package.partition(".")[0] for package in packages),
        "pyproject.toml",
        "README.md",
        "LICENSE",
    }
    assert not reaches_the_builder("deploy/.env")
    assert not reaches_the_builder("config/.env")
    assert not reaches_the_builder("config/door.key")


def test_all_that_the_builder_sees_is_copied() -> None:
    copied = {
        source for line in re.findall(r"^COPY (?!--)(.*)$", DOCKERFILE, re.MULTILINE) for source in line.split()[:-1]
    }
    assert copied == {Path(path).parts[0] for path in tracked() if reaches_the_builder(path)}


@pytest.mark.timeout(300)
def test_what_the_builder_sees_makes_a_program_that_is_whole(tmp_path: Path) -> None:
    for path in filter(reaches_the_builder, tracked()):
        (tmp_path / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / "source" / path)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "made")]
    subprocess.run([*pip, str(tmp_path / "source")], check=True, timeout=280)
    made = {"PYTHONPATH": str(tmp_path / "made"), "HOME": str(tmp_path)}
    run = partial(subprocess.run, env=made, cwd=tmp_path, capture_output=True, text=True, check=True)
    ask = "import time; from collector.cli.recorded_runs import recorded_runs; list(recorded_runs(time.time_ns()))"
    run([sys.executable, "-c", ask])
    run([sys.executable, "-m", "collector.cli.main", "validate"])


def test_it_runs_as_a_user_by_number_who_is_not_root() -> None:
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert users == ["10001:10001"]
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    assert final.index("USER ") < final.index("ENTRYPOINT ")


def test_the_health_check_passes_for_a_pipeline_that_runs_and_fails_without_one(demo: DemoPipeline) -> None:
    found = re.search(r"HEALTHCHECK (?:.*\\\n)*\s*CMD (\[.*\])", DOCKERFILE)
    assert found is not None
    _, *arguments = json.loads(found[1])
    here = (demo.pipeline.info() or {})["metrics"]
    for address, passes in ((here, True), ("127.0.0.1:9", False)):
        asked = [argument.replace("127.0.0.1:8888", address) for argument in arguments]
        done = subprocess.run([sys.executable, *asked], capture_output=True, check=False, timeout=30)
        assert (done.returncode == 0) is passes
