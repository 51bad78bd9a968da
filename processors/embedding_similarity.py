"""Settings of what makes vectors of texts for the detectors of tier three, as they stand in the configuration."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class EmbeddingSettings(BaseModel):
    """Vectors of texts by a packaged table, for repetition and the other detectors of meaning.

    Of what a span costs all together 27 % is theirs; their thresholds are not yet proven on data of others.
    `second_look`: grey findings that rest on such vectors are looked at again by the full model, that in the folder
    `model` or the one of the extra `transformers`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    cache_bytes: int = Field(default=16 * 1024 * 1024, ge=0)
    second_look: bool = False
    model: Path | None = None
