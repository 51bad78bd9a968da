"""Runs made by hypothesis: agents that think, call tools, repeat themselves, fail, spend and pass a state on."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st
from runtime_harness import SECOND, START_NS

from schemas.canonical import canonical, content_hash, state_hash
from schemas.step import AGENT, LLM, TOOL, Step, ToolCall, Usage

RUN = "ab" * 16
TOOLS = ("search", "fetch", "write")
ARGUMENTS: tuple[Any, ...] = ({"q": "one"}, {"q": "two"}, {"page": 1}, {"page": 2}, {})
RESULTS = ("found", "nothing", "error 503", "ok")
STATES: tuple[Any, ...] = (
    {"order": 7, "items": [1, 2], "status": "new", "total": 3},
    {"order": 7, "items": [1, 2, 3], "status": "paid", "total": 6},
    {"order": 7, "items": "gone", "status": "new", "total": -6},
    {"order": 8, "items": [], "status": "new", "total": 0},
)


def _tool(draw: Any) -> dict[str, Any]:
    args, result = draw(st.sampled_from(ARGUMENTS)), draw(st.sampled_from(RESULTS))
    failed = result.startswith("error")
    return {
        "kind": TOOL,
        "tool": draw(st.sampled_from(TOOLS)),
        "args": canonical(args).decode(),
        "args_hash": content_hash(canonical(args)),
        "result": result,
        "result_hash": content_hash(result.encode()),
        "error": result if failed else "",
        "error_type": "ServerError" if failed else "",
    }


def _llm(draw: Any) -> dict[str, Any]:
    text = draw(st.sampled_from(("thinking", "done", "again", "")))
    call = ToolCall("c1", "search", canonical(ARGUMENTS[0]).decode(), content_hash(canonical(ARGUMENTS[0])))
    return {
        "kind": LLM,
        "model": "gpt-4o",
        "provider": "openai",
        "output_text": text,
        "output_hash": content_hash(text.encode()),
        "calls": (call,) if draw(st.booleans()) else (),
        "usage": Usage(draw(st.sampled_from((100, 5_000, 110_000, 127_000))), draw(st.sampled_from((5, 500)))),
    }


def _agent(draw: Any) -> dict[str, Any]:
    state = draw(st.sampled_from(STATES))
    text = canonical(state).decode()
    return {
        "kind": AGENT,
        "state": text,
        "state_hash": state_hash(state),
        "state_size": len(text),
        "output_text": "next",
    }


@st.composite
def runs(draw: Any) -> list[Step]:
    """Draw a run: its steps in order, one second apart."""
    steps: list[Step] = []
    for number in range(draw(st.integers(0, 40))):
        repeats = steps and draw(st.integers(0, 3)) == 0
        content = _again(steps[-1]) if repeats else draw(st.sampled_from((_tool, _tool, _llm, _agent)))(draw)
        start = START_NS + number * SECOND
        agent = draw(st.sampled_from(("planner", "worker")))
        steps.append(_step(number, start, agent, content))
    return steps


def _again(step: Step) -> dict[str, Any]:
    """Do the same once more."""
    own = ("service", "span_id", "start_ns", "end_ns", "agent", "tenant", "run_id", "trace_id")
    return {field: getattr(step, field) for field in step.__struct_fields__ if field not in own}


def _step(number: int, start: int, agent: str, content: dict[str, Any]) -> Step:
    return Step(
        tenant="default",
        run_id=RUN,
        trace_id=RUN,
        span_id=f"{number + 1:016x}",
        start_ns=start,
        end_ns=start + SECOND // 2,
        service="shop",
        agent=agent,
        **content,
    )


def as_first_seen(step: Step) -> Step:
    """Make the step as it was before its late facts came: nobody's, and in part without content."""
    return msgspec.structs.replace(step, agent="", args="", args_hash="", output_text="", output_hash="", calls=())


def revised(step: Step) -> Step:
    """Make the step as it is told again."""
    return msgspec.structs.replace(step, revision=step.revision + 1)
