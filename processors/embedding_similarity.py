"""Settings of what makes vectors of texts for the detectors of tier three, as they stand in the configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class EmbeddingSettings(BaseModel):
    """Vectors of texts by a packaged table, for repetition and the other detectors of meaning."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    cache_bytes: int = Field(default=16 * 1024 * 1024, ge=0)
