"""What a second look found of a detection, and how that stands over what its detector tells later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import orjson

from processors.judging.rulings import CLEARED, CONFIRMED, ruling_of
from processors.looking.questions import Question
from processors.looking.weighing import moved
from schemas.detection import WITHDRAWN, confidence_tier
from schemas.keys import join_key
from schemas.timestamps import rfc3339

SOURCE = b"tracemend/second_look"
TIER = 3
_WORDS = {CONFIRMED: "which speaks for it", CLEARED: "which speaks against it"}


class Look(msgspec.Struct, array_like=True):
    """A grey detection that waits for its second look; `document` is what was last told of it, JSON."""

    document: bytes
    version: int
    since_ns: int

    def told(self) -> dict[str, Any]:
        """Read the detection."""
        document: dict[str, Any] = orjson.loads(self.document)
        return document


class Verdict(msgspec.Struct, frozen=True, array_like=True):
    """What was found. `agreement` says how far it speaks for the finding (1) or against it (-1).

    `similarity` is the figure of all `pairs` of texts, whose `content` is fingerprinted. `version` is the highest one
    published of the detection, `seen` its detector's own that it was last laid over. `is_judged`: a higher tier has
    ruled on it meanwhile, and what follows is for that to say.
    """

    model: str = ""
    agreement: float = 0.0
    similarity: float = 0.0
    pairs: int = 0
    content: str = ""
    version: int = 0
    seen: int = 0
    is_judged: bool = False


def key_of(document: dict[str, Any]) -> str:
    """Name the rows of a detection."""
    return join_key(document["tenant"], document["run_id"], document["id"])


def verdict_of(model: str, question: Question, vectors: npt.NDArray[np.float32]) -> Verdict:
    """Compare the texts of a question by their vectors."""
    found = similarities(question, vectors)
    figure = round(question.scale.figure(found), 4)
    return Verdict(model, round(question.scale.agreement(found), 4), figure, len(found), question.content)


def similarities(question: Question, vectors: npt.NDArray[np.float32]) -> Sequence[float]:
    """Give the cosine of each pair."""
    rows = np.asarray(vectors, np.float64)
    return [float(rows[one] @ rows[other]) for one, other in question.pairs]


def under(verdict: Verdict, document: dict[str, Any], version: int, now_ns: int) -> dict[str, Any]:
    """Lay a verdict over a grey detection as its detector last told it."""
    confidence = moved(document["confidence"], verdict.agreement)
    found = ruling_of(confidence)
    told = _told(verdict, found) | {"found_confidence": document["confidence"]}
    looked = {
        **document,
        "version": version,
        "tier": TIER,
        "confidence": confidence,
        "confidence_tier": confidence_tier(confidence),
        "evidence": {**document["evidence"], "second_look": told},
        "explanation": f"{document['explanation']} {_words(verdict, found)}".strip(),
        "detected_at": rfc3339(now_ns),
    }
    if found == CLEARED:
        looked["status"] = WITHDRAWN
    return looked


def _told(verdict: Verdict, found: str) -> dict[str, Any]:
    return {
        "found": found,
        "model": verdict.model,
        "similarity": verdict.similarity,
        "agreement": verdict.agreement,
        "pairs": verdict.pairs,
    }


def _words(verdict: Verdict, found: str) -> str:
    what = "its texts" if verdict.pairs == 1 else f"{verdict.pairs} pairs of its texts"
    how = _WORDS.get(found, "which settles nothing")
    return f"A second look by {verdict.model} measures a likeness of {verdict.similarity:.2f} between {what}, {how}."
