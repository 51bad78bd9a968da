#!/usr/bin/env python3
"""Writes the dashboards anew from their sources: `python deploy/grafana/generate.py`."""

from __future__ import annotations

from pathlib import Path

from dashboard_sources.every_dashboard import every_dashboard

HERE = Path(__file__).parent / "dashboards"


def main() -> None:
    """Write every file, and remove those that no source makes any more."""
    written = every_dashboard()
    for name, text in written.items():
        (HERE / name).write_text(text, encoding="utf-8")
    for file in HERE.glob("*.json"):
        if file.name not in written:
            file.unlink()


if __name__ == "__main__":
    main()
