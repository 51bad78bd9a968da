"""What breaks a state, what only changes it, and what explains a change."""

from __future__ import annotations

from typing import Any

import pytest

from processors.detector import At
from processors.state_delta import StateConfig, StateDelta
from processors.states.streams import States
from schemas.canonical import canonical, state_hash
from schemas.detection import Finding
from schemas.step import AGENT, TOOL, SpanRef, Step


class Run:
    """A run that passes states on, and what was found in it."""

    def __init__(self) -> None:
        self.detector = StateDelta(StateConfig(), models=None)  # type: ignore[arg-type]  # it asks for no model
        self.state = States()
        self.count = 0

    def shows(self, state: Any, agent: str = "worker") -> list[Finding]:
        text = canonical(state).decode()
        return self._step(kind=AGENT, state=text, state_hash=state_hash(state), state_size=len(text), agent=agent)

    def calls(self, tool: str, args: str = "") -> None:
        self._step(kind=TOOL, tool=tool, args=args)

    def _step(self, **fields: Any) -> list[Finding]:
        self.count += 1
        span = f"{self.count:016x}"
        step = Step(
            tenant="t", run_id="r", trace_id="r", span_id=span, start_ns=self.count, end_ns=self.count, **fields
        )
        item = self.detector.project(step)
        at = At(self.count, self.count, SpanRef("r", span), step.agent)
        return list(self.detector.observe(self.state, at, item)) if item is not None else []


def order(**changes: Any) -> dict[str, Any]:
    lines = [{"article": "pen", "amount": 2, "price": 3}, {"article": "ink", "amount": 1, "price": 9}]
    return {"order_id": "A-17", "status": "placed", "lines": lines, "total": 15, "notes": [], **changes}


def later(**changes: Any) -> dict[str, Any]:
    """Make the order as the sound updates left it, with what is changed of it."""
    return order(**{"notes": ["checked"] * 3, **changes})


def after_sound_updates(*states: Any) -> Run:
    run = Run()
    for number in range(4):
        assert run.shows(order(notes=["checked"] * number)) == []
    for state in states:
        run.shows(state)
    return run


@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        (later(lines="see above"), "type"),
        ({key: value for key, value in later().items() if key != "lines"}, "lost"),
        (later(lines=None), "nulled"),
        (later(total=-15), "negative"),
        (later(total=9_000), "jump"),
        (later(total=151), "contradiction"),
        (later(order_id="B-99"), "identity"),
    ],
)
def test_a_state_that_breaks_is_found_at_the_step_that_broke_it(broken: Any, kind: str) -> None:
    run = after_sound_updates()
    (finding,) = run.shows(broken)
    assert kind in {change["kind"] for change in finding.evidence["changes"]}
    assert finding.spans == (SpanRef("r", f"{4:016x}"), SpanRef("r", f"{5:016x}"))
    assert finding.confidence >= 0.5


def test_a_status_that_was_left_behind_does_not_come_back() -> None:
    run = Run()
    for status in ("placed", "paid", "packed", "sent"):
        assert run.shows(order(status=status)) == []
    (finding,) = run.shows(order(status="placed"))
    assert finding.evidence["changes"][0]["kind"] == "status_went_back"


@pytest.mark.parametrize(
    "sound",
    [
        later(notes=["checked"] * 4),
        later(status="paid"),
        later(
            lines=[{"article": "pen", "amount": 2, "price": 3}, {"article": "cap", "amount": 1, "price": 2}], total=8
        ),
        {
            "order_id": "C-3",
            "status": "open",
            "lines": [{"article": "x", "amount": 1, "price": 1}],
            "total": 1,
            "notes": ["n"],
        },
    ],
)
def test_a_change_that_is_none_is_left_alone(sound: Any) -> None:
    assert after_sound_updates().shows(sound) == []


def test_what_changes_every_time_and_looks_drawn_means_nothing() -> None:
    run = Run()
    for number in range(6):
        stamped = later(stamp=f"2026-01-0{number + 1}T10:00:00Z", draw=f"{number}f3a9c0d1e2b4a596")
        assert run.shows(stamped) == []


def test_a_step_that_says_so_explains_why_something_is_gone() -> None:
    run = after_sound_updates()
    run.calls("clear_lines", '{"lines": "all"}')
    assert run.shows(later(lines=[], total=0)) == []


def test_a_state_is_followed_from_agent_to_agent() -> None:
    run = after_sound_updates()
    (finding,) = run.shows(later(lines=None), agent="somebody else")
    assert finding.agent == "somebody else"


def test_a_broken_state_that_stays_broken_is_one_finding_and_closes_when_it_is_mended() -> None:
    run = after_sound_updates(later(lines="see above"))
    assert run.shows(later(lines="see above", notes=["checked"] * 4)) == []
    (closed,) = run.shows(later(notes=["checked"] * 5))
    assert closed.status == "closed"


def test_a_conversation_that_is_trimmed_is_not_broken() -> None:
    run = Run()
    for length in (2, 5, 9, 12, 2):
        history = [{"role": "user", "content": f"message {number}"} for number in range(length)]
        assert run.shows({"messages": history, "next": "agent"}) == []


def test_a_state_that_cannot_be_true_is_found_at_first_sight() -> None:
    assert Run().shows({"booking": {"start": "2026-05-02", "end": "2026-05-01"}, "seats": 2})
    assert Run().shows({"progress_percent": 140, "name": "import"})


def test_a_state_that_was_cut_is_not_judged() -> None:
    run = after_sound_updates()
    text = canonical(later(lines=None)).decode()
    assert run._step(kind=AGENT, state=text[:30], state_hash="x", state_size=len(text)) == []
