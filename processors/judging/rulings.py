"""Rulings: what the judge found, and detections as they stand under it.

A detection keeps its id, its detector and its words; the ruling adds tier, confidence, cost and why. A detector may
tell of the episode again at any time: then the ruling is laid over what it says, with a version above, as long as the
detector is no surer than it was. Once it is sure by itself its word stands, and the ruling is only told beside it.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from collector.bus.protocol import Outgoing
from processors.judging.prompts import PROMPT_VERSION
from schemas.detection import CLOSED, DETECTION_SCHEMA, GREY_ZONE, OPEN, WITHDRAWN, confidence_tier
from schemas.keys import join_key
from schemas.metrics import DETECTIONS_PUBLISHED
from schemas.timestamps import rfc3339
from schemas.topics import CONTENT_TYPE_HEADER, DETECTIONS, ESCALATIONS, TENANT_HEADER

SOURCE = b"tracemend/llm_judge"
CONFIRMED, CLEARED, UNSURE, UNJUDGED = "confirmed", "cleared", "unsure", "unjudged"
JUDGE_TIER = 4


class Ruling(msgspec.Struct, frozen=True, array_like=True):
    """What was found of one detection. `why` says what kept the judge from more, empty where nothing did.

    `failure` is the probability (0-1) that the finding is right; `quotes` pairs span ids with passages;
    `judged` counts rulings on the detection; `version` is the highest one published of it, `seen` the detector's own
    that it was last laid over.
    """

    ruling: str
    failure: float
    why: str
    model: str
    reason: str
    quotes: tuple[tuple[str, str], ...]
    micro_usd: int
    content: str
    judged: int
    version: int = 0
    seen: int = 0


def ruling_of(failure: float) -> str:
    """Name what a probability says."""
    if failure >= GREY_ZONE[1]:
        return CONFIRMED
    return CLEARED if failure < GREY_ZONE[0] else UNSURE


def is_sure(document: dict[str, Any]) -> bool:
    """Say whether a detector is surer of a detection than a ruling is for."""
    return not GREY_ZONE[0] <= document["confidence"] < GREY_ZONE[1]


def under(ruling: Ruling, document: dict[str, Any], version: int, now_ns: int) -> dict[str, Any]:
    """Lay a ruling over a detection as its detector last told it."""
    stands = not is_sure(document)
    found = {"found_confidence": document["confidence"]}
    judged = {
        **document,
        "version": version,
        "evidence": {**document["evidence"], "judge": _told(ruling, stands) | found},
        "detected_at": rfc3339(now_ns),
        "cost_usd": round(document["cost_usd"] + ruling.micro_usd / 1e6, 6),
    }
    if not stands or ruling.ruling == UNJUDGED:
        return judged
    judged |= {
        "tier": JUDGE_TIER,
        "confidence": round(ruling.failure, 4),
        "confidence_tier": confidence_tier(ruling.failure),
        "explanation": f"{document['explanation']} {_words(ruling)}".strip(),
    }
    if ruling.ruling == CLEARED:
        judged["status"] = WITHDRAWN
    return judged


def detection_record(document: dict[str, Any], source: bytes = SOURCE) -> Outgoing:
    """Build the `detections` record of a detection that an upper tier tells again."""
    headers = {
        TENANT_HEADER: document["tenant"].encode(),
        CONTENT_TYPE_HEADER: b"application/json",
        "ce_specversion": b"1.0",
        "ce_type": DETECTION_SCHEMA.encode(),
        "ce_source": source,
        "ce_id": f"{document['id']}.{document['version']}".encode(),
        "ce_time": document["detected_at"].encode(),
    }
    DETECTIONS_PUBLISHED.labels(type=document["type"], status=document["status"]).inc()
    return Outgoing(DETECTIONS, join_key(document["tenant"], document["run_id"]), orjson.dumps(document), headers)


def escalation_record(document: dict[str, Any], next_tier: bytes) -> Outgoing:
    """Build the `escalations` record of a detection that stays grey."""
    headers = {TENANT_HEADER: document["tenant"].encode(), "next_tier": next_tier}
    value = msgspec.msgpack.encode([1, document])
    return Outgoing(ESCALATIONS, join_key(document["tenant"], document["run_id"]), value, headers)


def is_live(document: dict[str, Any]) -> bool:
    """Say whether a detection is still one: a withdrawn one needs no verdict."""
    return document["status"] in (OPEN, CLOSED)


def _told(ruling: Ruling, stands: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"ruling": ruling.ruling, "stands": stands, "prompt_version": PROMPT_VERSION}
    if ruling.why:
        told["why"] = ruling.why
    if ruling.model:
        quotes = [{"span_id": span_id, "quote": quote} for span_id, quote in ruling.quotes]
        told |= {"model": ruling.model, "failure": round(ruling.failure, 4), "reason": ruling.reason, "quotes": quotes}
    return told


def _words(ruling: Ruling) -> str:
    found = {CONFIRMED: "a failure", CLEARED: "no failure"}.get(ruling.ruling, "not clear either way")
    return f"Judged by {ruling.model}: {found}. {ruling.reason}"
