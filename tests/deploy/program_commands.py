"""What deployments start: whether the program takes such arguments, reads such settings, and plays all its roles."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from collector.roles import POLICIES, ROLES, Roles

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CONFIG = DEPLOY / "tracemend.yaml"
MOUNTED = "/etc/tracemend/tracemend.yaml"
TRACEMEND = (sys.executable, "-m", "collector.cli.main")
ASKED = re.compile(r"\$\{env:(\w+)(:-[^}]*)?\}")
NAMED = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")
"""Variables, as the built-in configuration names them."""
ENOUGH = {"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/")}


def asked_of_the_environment() -> tuple[set[str], set[str]]:
    """Say which variables the configuration needs, and which it reads where they are there."""
    found = ASKED.findall(CONFIG.read_text())
    needed = {name for name, default in found if not default}
    built_in = set(NAMED.findall((ROOT / "config" / "default.yaml").read_text()))
    return needed, {name for name, default in found if default} | built_in


def complaint(arguments: Sequence[str]) -> str:
    """Say what the program has against arguments: it reads all of them before it helps, and starts nothing."""
    done = subprocess.run(
        [*TRACEMEND, *arguments, "--help"], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    return done.stderr if done.returncode else ""


def problems(environment: Mapping[str, str]) -> str:
    """Say what `tracemend validate` has against the configuration, in a container's environment and no other."""
    done = subprocess.run(
        [*TRACEMEND, "validate", "--config", str(CONFIG)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env={**ENOUGH, **environment},
    )
    return done.stdout + done.stderr if done.returncode else ""


def roles_of(arguments: Sequence[str]) -> list[str]:
    """List the roles that `tracemend run` is told to play; raises UnknownRoleError."""
    named = [after for option, after in pairwise(arguments) if option == "--only"]
    Roles(named)
    return named


def not_played(commands: Iterable[Sequence[str]]) -> set[str]:
    """List the roles that nobody plays; policies go with healing."""
    played = {role.split("/")[0] for arguments in commands for role in roles_of(arguments)}
    return set(ROLES) - played - {POLICIES}
