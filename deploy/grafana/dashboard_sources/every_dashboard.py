"""All dashboards, as the JSON that Grafana provisions."""

from __future__ import annotations

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboard_sources.cost import cost
from dashboard_sources.fleet import fleet
from dashboard_sources.healing import healing
from dashboard_sources.overview import overview
from dashboard_sources.run_explorer import run_explorer
from dashboard_sources.security import security

BUILDERS = {
    "overview": overview,
    "run_explorer": run_explorer,
    "cost": cost,
    "security": security,
    "healing": healing,
    "fleet": fleet,
}


def every_dashboard() -> dict[str, str]:
    """Write every dashboard: file name → JSON."""
    return {f"{name}.json": _written(name) for name in BUILDERS}


def _written(name: str) -> str:
    return json.dumps(BUILDERS[name]().build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
