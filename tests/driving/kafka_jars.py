"""Jars that Maven fetches once and that are kept in the user's cache: Apache Kafka's, from `deploy/kafka/pom.xml`."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

POM = Path(__file__).parents[2] / "deploy" / "kafka" / "pom.xml"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tracemend-tests"
FETCH_SECONDS = 300


class NoBroker(Exception):  # noqa: N818  # a reason, not a fault
    """There is no broker to be had here; says why."""


def kafka_jars() -> Path:
    """Give the folder of Kafka's jars; raises NoBroker where they cannot be had."""
    return jars_of(POM, "kafka")


def jars_of(pom: Path, name: str) -> Path:
    """Give the folder of the jars that a pom names; raises NoBroker where they cannot be had."""
    missing = [name for name in ("java", "mvn") if shutil.which(name) is None]
    if missing:
        raise NoBroker(f"{' and '.join(missing)} not on this machine")
    kept = CACHE / f"{name}-{hashlib.sha256(pom.read_bytes()).hexdigest()[:16]}"
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as made:
            work = Path(made)
            shutil.copy(pom, work / "pom.xml")
            _fetch(work)
            _keep(work / "lib", kept)
    return kept


def _fetch(work: Path) -> None:
    command = ("mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib")
    try:
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise NoBroker(f"the jars were not fetched within {FETCH_SECONDS} s") from error
    if done.returncode:
        raise NoBroker(f"the jars cannot be fetched: {(done.stderr or done.stdout)[-400:]}")


def _keep(fetched: Path, kept: Path) -> None:
    try:
        fetched.rename(kept)
    except OSError:  # another test run was there first
        if not kept.exists():
            raise
