"""What a model is shown of a run: the steps a finding is about and those beside them, masked and cut to a budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import orjson

from processors.judging.masking import Masking
from schemas.canonical import content_hash
from schemas.step import Step

BYTES_PER_TOKEN = 3
"""How many bytes a token is taken for when cutting; prices are bounded otherwise."""
SHOWN_EVIDENCE = 16
PART_BYTES = 1_600
"""The most that one text of one step may take: no single answer fills the exhibit."""
SMALLEST_PART = 60
CLAIM_BYTES = 1_500
TIMED = frozenset(("retry_storm", "coordination"))
"""Types of failure that are about waiting."""


class Shown(msgspec.Struct, frozen=True, array_like=True):
    """One step as it is shown. The label is ours (`s3`); everything in `text` was written by others.

    `is_evidence`: whether the finding is about it; the others are shown for what came before and after.
    """

    label: str
    span_id: str
    text: str
    is_evidence: bool


class Exhibit(msgspec.Struct, frozen=True, array_like=True):
    """All that is shown of a run. `content` fingerprints it, whatever run it is and whoever asks."""

    type: str
    claim: str
    shown: tuple[Shown, ...]
    content: str


def missing_evidence(document: dict[str, Any], steps: Sequence[Step]) -> int:
    """Count the spans of a detection's evidence that are not among the steps."""
    known = {step.span_id for step in steps}
    return sum(span_id not in known for span_id in document["span_ids"])


def exhibit_of(document: dict[str, Any], steps: Sequence[Step], window_tokens: int) -> Exhibit | None:
    """Choose, mask and cut; None where no step of the evidence is known."""
    places = {step.span_id: place for place, step in enumerate(steps)}
    evidence = [places[span_id] for span_id in document["span_ids"] if span_id in places]
    if not evidence:
        return None
    mask = Masking()
    claim = _cut(mask(_claim(document)), CLAIM_BYTES)
    left = window_tokens * BYTES_PER_TOKEN - len(claim.encode())
    texts: dict[int, str] = {}
    for place in _by_importance(evidence, len(steps)):
        text = _when(document["type"], steps, place) + _text(steps[place], mask, min(PART_BYTES, left // 2))
        size = len(text.encode())
        if size <= left and left // 2 >= SMALLEST_PART:
            texts[place] = text
            left -= size
    shown = tuple(
        Shown(f"s{number}", steps[place].span_id, texts[place], place in evidence)
        for number, place in enumerate(sorted(texts), 1)
    )
    body = orjson.dumps([document["type"], claim, [[one.label, one.text, one.is_evidence] for one in shown]])
    return Exhibit(document["type"], claim, shown, content_hash(body) + content_hash(body[::-1]))


def _claim(document: dict[str, Any]) -> str:
    figures = {name: value for name, value in document["evidence"].items() if "span" not in name}  # ids say nothing
    evidence = orjson.dumps(figures, default=str).decode()
    return f"{document['title']}\n{document['explanation']}\nfigures: {evidence}"


def _by_importance(evidence: Sequence[int], count: int) -> Iterator[int]:
    """Order places: what crossed the line, where it began, the rest backwards, how the run began, the neighbours."""
    seen: set[int] = set()
    chosen = [evidence[-1], evidence[0], *reversed(evidence[1:-1])][:SHOWN_EVIDENCE]
    beside = [place + by for place in chosen for by in (-1, 1)]
    for place in (*chosen, 0, *beside):
        if 0 <= place < count and place not in seen:
            seen.add(place)
            yield place


def _when(failure: str, steps: Sequence[Step], place: int) -> str:
    """Say when a step began, where that matters; elsewhere it would only make like runs differ."""
    if failure not in TIMED:
        return ""
    step = steps[place]
    return f"begins at: {(step.start_ns - steps[0].start_ns) / 1e9:.1f} s, takes {step.duration_ns / 1e9:.1f} s\n"


def _text(step: Step, mask: Masking, part_bytes: int) -> str:
    """Write a step as lines of `name: value`."""
    parts = {
        "kind": step.kind,
        "name": step.name,
        "agent": step.agent,
        "tool": step.tool,
        "model": step.model,
        "handed over to": step.transfer_to,
        "system prompt": step.system_prompt,
        "input": step.input_text,
        "arguments": step.args,
        "result": step.result,
        "output": step.output_text,
        "asked for": "; ".join(f"{call.name}({call.args})" for call in step.calls),
        "state": step.state,
        "error": f"{step.error_type} {step.error}".strip(),
    }
    written = (f"{name}: {_cut(_plain(mask(value)), part_bytes)}" for name, value in parts.items() if value)
    return "\n".join(written)


def _plain(text: str) -> str:
    """Leave out what does not print: it hides text from people, and tells a model nothing that it should be told."""
    return "".join(char for char in text if char.isprintable() or char in "\n\t")


def _cut(text: str, most_bytes: int) -> str:
    """Keep the beginning and the end of a text, and say how much is left out between them."""
    data = text.encode()
    if len(data) <= most_bytes:
        return text
    head, tail = most_bytes * 2 // 3, most_bytes // 3
    left_out = len(data) - head - tail
    return (
        f"{data[:head].decode(errors='ignore')} [... {left_out} bytes left out ...] "
        f"{data[-tail:].decode(errors='ignore')}"
    )
