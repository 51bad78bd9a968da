"""What colours and marks mean, the same on every dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models.dashboard import (
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)

SEVERITIES = {"critical": "dark-purple", "high": "red", "medium": "orange", "low": "yellow", "info": "blue"}
STATUSES = {"open": "red", "closed": "green", "withdrawn": "text"}
RISKS = {"SAFE": "green", "MEDIUM": "orange", "DANGEROUS": "red"}
EVENTS = {
    "applied": "blue",
    "verified": "green",
    "rolled_back": "orange",
    "failed": "red",
    "requested": "yellow",
    "approved": "semi-dark-green",
    "rejected": "semi-dark-red",
    "expired": "text",
}
KINDS = {"llm": "blue", "tool": "orange", "agent": "purple", "handoff": "green", "step": "text", "failed": "red"}
GOOD, WARN, BAD, CALM = "green", "orange", "red", "blue"


def thresholds(*steps: tuple[float, str], below: str = GOOD) -> build.ThresholdsConfig:
    """Colour a figure: `below` until the first step, then each step's colour from its value on."""
    marks = [Threshold(value=None, color=below), *(Threshold(value=value, color=color) for value, color in steps)]
    return build.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(marks)


def one_colour(color: str) -> build.FieldColor:
    """Colour everything alike."""
    return build.FieldColor().mode(FieldColorModeId.FIXED).fixed_color(color)


def by_threshold() -> build.FieldColor:
    """Colour by the thresholds."""
    return build.FieldColor().mode(FieldColorModeId.THRESHOLDS)


def by_name() -> build.FieldColor:
    """Colour series by their names, so that an agent or a model looks the same everywhere."""
    return build.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME)


def marked(colors: Mapping[str, str]) -> ValueMap:
    """Colour texts by what they say."""
    results = {
        text: ValueMappingResult(text=text, color=color, index=number)
        for number, (text, color) in enumerate(colors.items())
    }
    return ValueMap(options=results)


def coloured(colors: Mapping[str, str]) -> list[DynamicConfigValue]:
    """Show a table's column as coloured texts."""
    return [
        DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
        DynamicConfigValue(id_val="mappings", value=[marked(colors)]),
    ]


def series_colours(colors: Mapping[str, str]) -> list[tuple[str, list[DynamicConfigValue]]]:
    """Give each series of a known name its colour: (name, properties)."""
    return [
        (name, [DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": color})])
        for name, color in colors.items()
    ]


def prop(name: str, value: Any) -> DynamicConfigValue:
    """Write one property of a field."""
    return DynamicConfigValue(id_val=name, value=value)
