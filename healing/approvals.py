"""A person's answer to a question: the approval event that the command line, or any approver, publishes."""

from __future__ import annotations

from msgspec.structs import replace

from collector.bus.protocol import Outgoing
from healing.events import outgoing
from schemas.healing import Approval, ApprovalEvent
from schemas.timestamps import rfc3339

LONGEST_NOTE = 4_096


def approve(question: Approval, who: str, note: str, now_ns: int) -> Outgoing:
    """Approve what a `requested` event asks; raises ValueError where nobody says who they are."""
    return _answer(question, "approved", who, note, now_ns)


def reject(question: Approval, who: str, note: str, now_ns: int) -> Outgoing:
    """Reject what a `requested` event asks; raises ValueError where nobody says who they are."""
    return _answer(question, "rejected", who, note, now_ns)


def _answer(question: Approval, event: ApprovalEvent, who: str, note: str, now_ns: int) -> Outgoing:
    person = who.strip()[:256]
    if not person:
        raise ValueError("an answer says who gives it")
    return outgoing(
        replace(
            question,
            id=f"{question.healing_id}.{event}.{now_ns}",
            event=event,
            who=person,
            note=note[:LONGEST_NOTE] or None,
            at=rfc3339(now_ns),
            hand_off=None,
        )
    )
