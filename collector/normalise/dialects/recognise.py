"""Which dialect a span speaks: by its scope's name, else by attributes only one dialect has, else the conventions."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from collector.normalise.dialects import (
    adk,
    agent_framework,
    autogen,
    claude_code,
    crewai,
    dify,
    genai,
    langfuse,
    langsmith,
    n8n,
    openai_agents,
    openinference,
    openlit,
    pydantic_ai,
    semantic_kernel,
    strands,
    traceloop,
    vercel_ai,
)
from collector.normalise.dialects.dialect import Dialect

BY_SCOPE: tuple[Dialect, ...] = (
    openinference.DIALECT,
    claude_code.DIALECT,
    strands.DIALECT,
    adk.DIALECT,
    pydantic_ai.DIALECT,
    langfuse.DIALECT,
    langsmith.DIALECT,
    openlit.DIALECT,
    agent_framework.DIALECT,
    semantic_kernel.DIALECT,
    autogen.DIALECT,
    traceloop.DIALECT,
    n8n.DIALECT,
    dify.DIALECT,
)
BY_MARK: tuple[Dialect, ...] = (
    openinference.DIALECT,
    traceloop.DIALECT,
    vercel_ai.DIALECT,
    langfuse.DIALECT,
    langsmith.DIALECT,
    crewai.DIALECT,
    strands.DIALECT,
    adk.DIALECT,
    pydantic_ai.DIALECT,
    autogen.DIALECT,
    n8n.DIALECT,
    dify.DIALECT,
)
LAST: tuple[Dialect, ...] = (crewai.DIALECT, openai_agents.DIALECT)
"""Scopes that two instrumentations share: these are meant only where no mark says otherwise."""
SCOPE_HEAD = 64
"""Characters of a scope that are looked at, so that the caches stay small; every beginning above is shorter."""
RANK = {dialect.name: rank for rank, dialect in enumerate(BY_MARK)}


def _by_head() -> dict[str, list[tuple[str, Dialect]]]:
    heads: dict[str, list[tuple[str, Dialect]]] = {}
    for dialect in BY_MARK:
        for mark in dialect.marks:
            heads.setdefault(mark.partition(".")[0], []).append((mark, dialect))
    return heads


MARKS = _by_head()
"""Marks by what stands before their first dot, so that most attributes are passed over by one look."""


def dialect_of(scope: str, names: Iterable[str]) -> Dialect:
    """Recognise the dialect of a span by its scope and the names of its attributes."""
    known = _by_scope(scope[:SCOPE_HEAD])
    if known is not None:
        return known
    marked = [
        dialect for key in names for mark, dialect in MARKS.get(key.partition(".")[0], ()) if key.startswith(mark)
    ]
    if marked:
        return min(marked, key=lambda dialect: RANK[dialect.name])
    return _by_shared_scope(scope[:SCOPE_HEAD]) or genai.DIALECT


def speaks_of_agents(scope: str) -> bool:
    """Say whether a scope is that of an instrument for agents."""
    return _by_scope(scope[:SCOPE_HEAD]) is not None


@lru_cache(maxsize=1024)
def _by_scope(scope: str) -> Dialect | None:
    return next((dialect for dialect in BY_SCOPE if scope.startswith(dialect.scopes)), None)


@lru_cache(maxsize=1024)
def _by_shared_scope(scope: str) -> Dialect | None:
    return next((dialect for dialect in LAST if scope.startswith(dialect.scopes)), None)
