"""What a span costs does not depend on how deep its trace is, and a trace takes no more than its bytes."""

from __future__ import annotations

import random

import msgspec
import pytest
from hand_written import span, text
from hypothesis import given, settings
from hypothesis import strategies as st
from normaliser_drive import NormaliserDrive

from collector.normalise import inherit, relatives, second_reports, trace_state
from collector.normalise.trace_state import Kin, TraceState
from collector.normalise.traces import EXPANSION, TraceBounds
from schemas.metrics import NORMALISER_EVICTED
from schemas.step import Step

TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "f"}
MODEL_CALL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 3}
KINDS: tuple[dict[str, object], ...] = (
    {},
    {"session.id": "s"},
    {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a", "gen_ai.conversation.id": "c"},
    {"gen_ai.operation.name": "chain", "gen_ai.workflow.name": "w"},
    {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 3},
    {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.response.id": "r", "user.id": "u"},
    {**TOOL, "gen_ai.tool.call.id": "t"},
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 11), st.sampled_from(range(len(KINDS))), st.sampled_from(("one", "other"))),
        min_size=2,
        max_size=12,
    ),
    st.randoms(use_true_random=False),
    st.integers(1, 4),
)
def test_trees_of_any_shape_read_the_same_in_any_order(
    shape: list[tuple[int, int, str]], random: object, size: int
) -> None:
    spans = [
        span(number, f"span {number}", KINDS[kind], scope=scope, parent=parent if parent != number else 0)
        for number, (parent, kind, scope) in enumerate(shape, start=1)
    ]
    straight = NormaliserDrive()
    straight.send(*spans)
    random.shuffle(spans)  # type: ignore[attr-defined]  # hypothesis' Random
    drive = NormaliserDrive()
    for at in range(0, len(spans), size):
        drive.send(*spans[at : at + size])
        drive.restart()
    assert [_told(step) for step in drive.steps()] == [_told(step) for step in straight.steps()]


def _told(step: Step) -> Step:
    return msgspec.structs.replace(step, revision=0)


def test_a_deep_chain_that_comes_child_first_is_gone_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = 0
    says = relatives._says

    def counted(kin: Kin) -> object:
        nonlocal looked_at
        looked_at += 1
        return says(kin)

    monkeypatch.setattr(relatives, "_says", counted)
    drive, depth = NormaliserDrive(), 300
    for number in range(depth, 0, -1):
        named = {"gen_ai.conversation.id": "c"} if number == 1 else {}
        drive.send(span(number, "f", {**TOOL, **named}, parent=number - 1))
    assert {step.conversation_id for step in drive.steps()} == {"c"}
    assert looked_at < 12 * depth


@pytest.mark.parametrize("above", [MODEL_CALL, {**TOOL, "gen_ai.tool.call.arguments": "{}"}])
def test_a_span_costs_no_more_for_the_siblings_it_has(
    above: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    touched = 0
    told = inherit.effective

    def counted(known: relatives.Relatives, span_id: str) -> object:
        nonlocal touched
        touched += 1
        return told(known, span_id)

    monkeypatch.setattr("collector.normalise.normaliser.effective", counted)
    monkeypatch.setattr(second_reports, "CROWD", 20)
    monkeypatch.setattr(relatives, "CROWD", 20)
    drive, siblings = NormaliserDrive(), 300
    drive.send(span(1, "call", above))
    for number in range(2, siblings):
        drive.send(span(number, "call", above, parent=1))
    assert len(drive.steps()) == siblings - 1
    assert touched < 4 * siblings


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(1, 12)), st.integers(0, 11), st.sampled_from(["model", "tool"]))
def test_in_a_crowd_nothing_is_a_report_whatever_came_first(order: list[int], restart: int, kind: str) -> None:
    attributes = MODEL_CALL if kind == "model" else {**TOOL, "gen_ai.tool.call.arguments": "{}"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(second_reports, "CROWD", 4)
        patch.setattr(relatives, "CROWD", 4)
        found = []
        for numbers in (sorted(order), order):
            drive = NormaliserDrive()
            for at, number in enumerate(numbers):
                if at == restart:
                    drive.restart()
                drive.send(span(number, "call", attributes, parent=0 if number == 1 else 1, scope=f"s{number % 2}"))
            found.append([msgspec.structs.replace(step, revision=0) for step in drive.steps()])
        assert found[0] == found[1]
        assert len(found[0]) == len(order)


def test_a_trace_takes_no_more_than_its_bytes_and_what_goes_is_counted() -> None:
    counter = NORMALISER_EVICTED.labels(what="step", reason="bytes")
    bounds = TraceBounds(trace_bytes=EXPANSION * 100_000)
    before, drive = counter._value.get(), NormaliserDrive(bounds=bounds)
    for number in range(2, 60):
        result = {"gen_ai.tool.call.result": random.Random(number).randbytes(3_500).hex()}  # noqa: S311  # no secret
        drive.send(span(number, "f", {**TOOL, **result}, parent=1))
    held = sum(len(value) for (store, _), (value, _) in drive.state.rows.items() if store in ("kin", "told"))
    assert held < 120_000
    assert counter._value.get() > before + 30
    assert all(step.result for step in drive.steps())


def test_what_is_published_again_writes_its_revision_not_its_content() -> None:
    drive = NormaliserDrive()
    result = {"gen_ai.tool.call.result": text({"pages": ["x" * 5_000]})}
    drive.send(span(2, "f", {**TOOL, **result}, parent=1))
    (kin,) = (row for (store, _), row in drive.state.rows.items() if store == "kin")
    drive.send(span(1, "invoke_agent a", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"}))
    assert kin in drive.state.rows.values()
    assert [len(value) < 20 for (store, _), (value, _) in drive.state.rows.items() if store == "told"] == [True]
    drive.restart()
    drive.send(span(3, "f", TOOL, parent=1))
    assert {step.agent for step in drive.steps()} == {"a"}
    assert [step.revision for step in drive.steps()] == [0, 1, 0]


def test_what_is_forgotten_leaves_no_index_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_state, "KIN_SPANS", 5)
    trace = TraceState()
    for number in range(50):
        trace.put(f"{number}", Kin(f"{number + 1}", number, arrived=True, used=True))
        list(trace.forget_oldest())
    assert len(trace.children) <= 6
    assert len(trace.covered) <= 6
