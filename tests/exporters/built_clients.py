"""Programs in other languages, built by their own toolchains from what is locked here, and kept for next time."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCES = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tracemend-tests"
STEP_SECONDS = 900
"""How long fetching or compiling may take before the test is skipped."""

Command = Sequence[str]


class Program(NamedTuple):
    """A program of a folder beside this file: what it needs, how its packages are fetched, how it is built and run."""

    folder: str
    needs: Sequence[str] = ()
    fetch: Command = ()
    build: Command = ()
    run: Command = ()


PROGRAMS = {
    program.folder: program
    for program in (
        Program("python", run=(sys.executable, "client.py")),
        Program(
            "js",
            needs=("node", "npm"),
            fetch=("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"),
            run=("node", "client.mjs"),
        ),
        Program(
            "go",
            needs=("go",),
            fetch=("go", "list", "-deps", "."),
            build=("go", "build", "-trimpath", "-ldflags=-s -w", "-o", "client", "."),
            run=("./client",),
        ),
        Program(
            "java",
            needs=("java", "javac", "mvn"),
            fetch=("mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"),
            build=("javac", "-cp", "lib/*", "-d", ".", "Client.java"),
            run=("java", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", ".:lib/*", "Client"),
        ),
        Program(
            "otelcol",
            needs=("go",),
            fetch=("go", "list", "-deps", "."),
            build=("go", "build", "-trimpath", "-ldflags=-s -w", "-o", "otelcol", "."),
            run=("./otelcol",),
        ),
    )
}
ENVIRONMENT = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}


def built(folder: str) -> Path:
    """Build a program, or find it built; skips the test where this machine cannot. Returns the folder to run it in."""
    program = PROGRAMS[folder]
    missing = [name for name in program.needs if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{folder}: {', '.join(missing)} not on this machine")
    kept = CACHE / f"{folder}-{_digest(SOURCES / folder)}"
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as made:
            work = Path(made) / folder
            shutil.copytree(SOURCES / folder, work)
            _fetch(program, work)
            _build(program, work)
            _keep(work, kept)
    return kept


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _fetch(program: Program, work: Path) -> None:
    """Fetch packages; a machine without a way to their registry skips the test and says so."""
    if not program.fetch:
        return
    try:
        done = _ran(program.fetch, work)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{program.folder}: packages not fetched within {STEP_SECONDS} s")
    if done.returncode:
        pytest.skip(f"{program.folder}: packages cannot be fetched: {(done.stderr or done.stdout)[-400:]}")


def _build(program: Program, work: Path) -> None:
    """Compile; what does not compile fails the test."""
    if not program.build:
        return
    try:
        done = _ran(program.build, work)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{program.folder}: not built within {STEP_SECONDS} s")
    assert done.returncode == 0, done.stderr


def _ran(command: Command, work: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=work, env=ENVIRONMENT, capture_output=True, text=True, timeout=STEP_SECONDS, check=False
    )


def _keep(work: Path, kept: Path) -> None:
    try:
        work.rename(kept)
    except OSError:  # another test run was there first
        assert kept.exists()
