"""Other people's programs that check files here: installed beside Python, or built once by Go and kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tracemend-tests"
BUILD_SECONDS = 540
GO_PROGRAMS = {
    "kustomize": "sigs.k8s.io/kustomize/kustomize/v5@v5.8.0",
    "caddy": "github.com/caddyserver/caddy/v2/cmd/caddy@v2.10.2",
}


def installed(name: str) -> str:
    """Find a program that a Python package brought; skips the test where there is none."""
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    found = shutil.which(name, path=beside)
    if found is None:
        pytest.skip(f"{name} is not installed: its package is made for Linux on x86-64 only")
    return found


def built_by_go(name: str) -> str:
    """Find or build a program; skips the test where Go is missing or its modules cannot be fetched."""
    package = GO_PROGRAMS[name]
    kept = CACHE / f"{name}-{package.rpartition('@')[2]}" / name
    if kept.exists():
        return str(kept)
    if shutil.which("go") is None:
        pytest.skip(f"{name}: go is not on this machine")
    kept.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GOBIN": str(kept.parent), "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run(
            ["go", "install", "-trimpath", "-ldflags=-s -w", package],
            env=environment,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{name} could not be built within {BUILD_SECONDS} s")
    if done.returncode:
        pytest.skip(f"{name} cannot be built: {done.stderr[-400:]}")
    return str(kept)
