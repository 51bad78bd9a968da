"""Durations as the Collector writes them (`1m30s`, `300ms`), under the Collector's names."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
SUFFIX = "_seconds"


def seconds(value: Any) -> Any:
    """Read a duration: a text such as `1m30s`, or a number of seconds; raises ValueError."""
    if not isinstance(value, str):
        return value
    parts = PART.findall(value)
    if value == "0":
        return 0.0
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise ValueError(f"{value!r} is no duration: use 30s, 1m30s, 300ms, or a number of seconds")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


class CollectorNames(BaseModel):
    """Settings whose `NAME_seconds` may be given as the Collector's `NAME` as well."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _durations(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        ours = {name.removesuffix(SUFFIX): name for name in cls.model_fields if name.endswith(SUFFIX)}
        if twice := [name for name in value if name in ours and ours[name] in value]:
            raise ValueError(f"give {twice[0]} or {ours[twice[0]]}, not both")
        return {ours.get(name, name): seconds(item) if name in ours else item for name, item in value.items()}
