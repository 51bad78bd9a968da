"""Roles: which parts of the pipeline a process runs (`tracemend run --only ROLE`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from config.settings import Settings

RECEIVERS, NORMALISER, PROCESSORS, SINKS, HEALING = "receivers", "normaliser", "processors", "sinks", "healing"
POLICIES = "policies"
"""Answering guards over HTTP; it goes with the HTTP API of whoever serves that."""
ROLES = (RECEIVERS, NORMALISER, PROCESSORS, SINKS, HEALING, POLICIES)


class UnknownRoleError(ValueError):
    """A role that does not exist; says which ones do."""

    def __init__(self, role: str) -> None:
        super().__init__(f"there is no role {role!r}: use {', '.join(ROLES)}, or one component as in processors/loop")
        self.role = role


class Roles:
    """What one process runs; all of it where nothing is named."""

    def __init__(self, only: Sequence[str] = ()) -> None:
        for role in only:
            if role.split("/", 1)[0] not in ROLES:
                raise UnknownRoleError(role)
        self._only = frozenset(only)

    def runs(self, role: str, component: str = "") -> bool:
        """Say whether this process runs a role, or one component of it."""
        if not self._only or role in self._only:
            return True
        if component:
            return f"{role}/{component}" in self._only
        return any(named.startswith(f"{role}/") for named in self._only)


def enabled(settings: Settings, section: str) -> list[str]:
    """List the components of a section that run: all that are enabled, or with pipelines those they name."""
    found: dict[str, Any] = getattr(settings, section)
    pipelines = settings.service.pipelines.values()
    named = {name for pipeline in pipelines for name in getattr(pipeline, section)}
    return [
        name
        for name, component in found.items()
        if getattr(component, "enabled", True) and (not pipelines or name in named)
    ]


def asked_for(only: Sequence[str]) -> tuple[str, ...]:
    """Give the roles that a person asks for: who runs healing has guards answered as well."""
    return (*only, POLICIES) if HEALING in only else tuple(only)


def is_essential(component: str) -> bool:
    """Say whether the pipeline is ready only while this part is well: whoever is told by a webhook may be down."""
    return not component.startswith("sinks/webhook")
