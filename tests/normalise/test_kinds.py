"""Spans of nobody's dialect are still told apart by what their names say."""

from __future__ import annotations

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.normalise.attributes import SpanView
from collector.normalise.reading import read_step
from schemas.step import AGENT, LLM, RETRIEVAL, TOOL, Step


def step(name: str, **attributes: str) -> Step | None:
    span = Span(trace_id=b"t" * 16, span_id=b"s" * 8, name=name)
    for key, value in {"gen_ai.operation.name": "something.of.ours", **attributes}.items():
        span.attributes.add(key=key).value.string_value = value
    return read_step(SpanView(span, {}, "a scope of ours"), "default")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tool.find_offers", TOOL),
        ("agent.planner", AGENT),
        ("llm.call", LLM),
        ("retriever.documents", RETRIEVAL),
        ("execute_tool find", TOOL),
        ("invoke_agent planner", AGENT),
    ],
)
def test_an_operation_nobody_knows_leaves_the_name_to_say_what_it_is(name: str, kind: str) -> None:
    read = step(name)
    assert read is not None
    assert read.kind == kind


def test_a_tool_is_named_by_its_attribute_or_else_by_its_span() -> None:
    named, bare = step("tool.find", **{"tool.name": "FindOffers"}), step("tool.find")
    assert named is not None
    assert bare is not None
    assert (named.tool, bare.tool) == ("FindOffers", "find")


def test_a_span_that_says_nothing_about_an_agent_is_no_step() -> None:
    span = Span(trace_id=b"t" * 16, span_id=b"s" * 8, name="GET /")
    span.attributes.add(key="http.request.method").value.string_value = "GET"
    assert read_step(SpanView(span, {}, "opentelemetry.instrumentation.requests"), "default") is None
