"""Doors for real exporters."""

from __future__ import annotations

from door_fixtures import doors, own_doors

__all__ = ["doors", "own_doors"]
