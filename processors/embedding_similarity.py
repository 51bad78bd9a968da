"""Settings of what makes vectors of texts for the detectors of tier three, as they stand in the configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class EmbeddingSettings(BaseModel):
    """Vectors of texts by a packaged table, for repetition and the other detectors of meaning.

    Off unless asked for: they double what a span costs, and their thresholds are not yet proven on data of others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = False
    cache_bytes: int = Field(default=16 * 1024 * 1024, ge=0)
