"""Which grey findings the full model can help with, and what it is asked: which texts are to be compared, and how.

A finding is asked about where the question was what two texts are about, and a table of words has answered it. What
structure or equality decided (a deadlock, one task word for word given to two) it would only repeat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from processors.looking.weighing import ABOUT, AWAY, SAME, Scale
from processors.loops.arguments import read_arguments
from schemas.canonical import content_hash
from schemas.step import MEMORY, RETRIEVAL, TOOL, Step

MOST_TEXTS = 12
"""Texts of a question: the newest of a row, of a run its first and its newest."""
OF_PATTERNS = {"asked_again": SAME, "passed_on": SAME, "unanswered": SAME, "contention": ABOUT}
"""Patterns of `coordination` that rest on two messages being about the same."""


class Question(NamedTuple):
    """Texts, which of them are compared (pairs of places), and on which scale. `content` fingerprints all of it."""

    texts: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]
    scale: Scale

    @property
    def content(self) -> str:
        """Say in a word which texts are compared."""
        return content_hash("\0".join((self.scale.name, *self.texts)).encode("utf-8", "surrogatepass"))


def scale_of(document: dict[str, Any]) -> Scale | None:
    """Say what a detection is asked; None where the full model cannot help."""
    kind, evidence = document["type"], document["evidence"]
    if kind == "loop":
        return SAME if evidence.get("match") == "wording" else None
    if kind == "coordination":
        return OF_PATTERNS.get(str(evidence.get("pattern")))
    return {"repetition": SAME, "derailment": AWAY}.get(kind)


def question_of(document: dict[str, Any], steps: Sequence[Step]) -> Question | None:
    """Choose the texts among a run's steps; None where there are no two that differ."""
    scale = scale_of(document)
    if scale is None:
        return None
    evidence = set(document["span_ids"])
    if scale is AWAY:
        return _task_and_answers(document, steps)
    texts = [text for step in steps if step.span_id in evidence and (text := said(step))]
    return _row(texts[-MOST_TEXTS:], scale)


def _row(texts: Sequence[str], scale: Scale) -> Question | None:
    """Compare each text with the one before it, but those that are equal: the table needs no help with these."""
    pairs = tuple((at - 1, at) for at in range(1, len(texts)) if texts[at] != texts[at - 1])
    return Question(tuple(texts), pairs, scale) if pairs else None


def _task_and_answers(document: dict[str, Any], steps: Sequence[Step]) -> Question | None:
    """Compare the task with what was said from where the run left it: the model reads all, the table single words."""
    task = next((step.input_text for step in steps if step.span_id in document["span_ids"][:1]), "").strip()
    left = next((at for at, step in enumerate(steps) if step.span_id == document["span_ids"][-1]), 0)
    told = list(dict.fromkeys(_outputs(steps[left:])))
    if not task or not told:
        return None
    chosen = told if len(told) < MOST_TEXTS else [told[0], *told[2 - MOST_TEXTS :]]
    return Question((task, *chosen), tuple((0, place) for place in range(1, len(chosen) + 1)), AWAY)


def _outputs(steps: Sequence[Step]) -> Iterator[str]:
    return (step.output_text for step in steps if step.output_text.strip())


def said(step: Step) -> str:
    """Give what a step asked or said in words; empty where it did neither."""
    if step.kind in (TOOL, RETRIEVAL, MEMORY) and not step.transfer_to:
        return read_arguments(step.args or step.input_text).sayings.strip()
    return (step.output_text or step.args or step.input_text).strip()
