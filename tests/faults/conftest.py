"""Servers for the tests of this folder."""

from __future__ import annotations

from clickhouse_fixtures import clickhouse, place

__all__ = ["clickhouse", "place"]
