"""Which run a span belongs to: a pure function of that one span, so that a step never moves.

A dialect that puts a run id of its own on every span would be listed here; of those recorded so far none does
(pydantic-ai's `gen_ai.agent.call.id` and ADK's `gcp.vertex.agent.invocation_id` are missing on some of their spans),
so the trace is the run for all of them. Sessions and conversations are attributes of a run, never its id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RUN_ID_ATTRIBUTES: Mapping[str, str] = {}
"""Dialect -> the attribute with its run id, which stands on every span of the dialect."""


def run_id_of(dialect: str, attributes: Mapping[str, Any], trace_id: str) -> str:
    """Give the run id of a span."""
    attribute = RUN_ID_ATTRIBUTES.get(dialect)
    value = attributes.get(attribute) if attribute else None
    return str(value)[:256] if value else trace_id
