"""Finds Rotel, a collector written in Rust, or installs it into an environment of its own in the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

FOUND_BY = "TRACEMEND_ROTEL"
"""Environment variable: where `rotel-agent` is, for machines that cannot install it."""
INSTALL_SECONDS = 180


class NoRotel(Exception):  # noqa: N818  # an answer
    """There is none, and it cannot be installed."""


def rotel_agent() -> Path:
    """Give the program; raises NoRotel, saying why."""
    named = os.environ.get(FOUND_BY)
    if named:
        return Path(named)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tracemend" / "rotel"
    return _program(cache) or _installed(cache)


def rotel_agent_if_any() -> Path | None:
    """Give the program; None where there is none, which is said on standard error."""
    try:
        return rotel_agent()
    except NoRotel as missing:
        print(f"going on without Rotel: {missing}", file=sys.stderr)
        return None


def _installed(folder: Path) -> Path:
    try:
        venv.create(folder, with_pip=True)
        command = [str(folder / "bin" / "pip"), "install", "--quiet", "--pre", "rotel"]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise NoRotel(f"cannot install rotel into {folder}: {error}") from error
    program = _program(folder)
    if program is None:
        raise NoRotel(f"rotel brought no rotel-agent into {folder}")
    return program


def _program(folder: Path) -> Path | None:
    return next(folder.glob("lib/python*/site-packages/rotel/rotel-agent"), None)
