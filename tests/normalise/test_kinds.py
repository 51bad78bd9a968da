"""Spans of nobody's dialect are still told apart by what their names say."""

from __future__ import annotations

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.normalise.attributes import Origin, SpanView
from collector.normalise.reading import read_step
from collector.normalise.shapes import shape_of
from schemas.step import AGENT, LLM, RETRIEVAL, TOOL, Step


def step(name: str, **attributes: str) -> Step | None:
    span = Span(trace_id=b"t" * 16, span_id=b"s" * 8, name=name)
    for key, value in {"gen_ai.operation.name": "something.of.ours", **attributes}.items():
        span.attributes.add(key=key).value.string_value = value
    return read(span, "a scope of ours")


def read(span: Span, scope: str) -> Step | None:
    view = SpanView(span, Origin({}, scope))
    return read_step(view, shape_of(scope, view.attributes), "default")


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
    found = step(name)
    assert found is not None
    assert found.kind == kind


def test_a_tool_is_named_by_its_attribute_or_else_by_its_span() -> None:
    named, bare = step("tool.find", **{"tool.name": "FindOffers"}), step("tool.find")
    assert named is not None
    assert bare is not None
    assert (named.tool, bare.tool) == ("FindOffers", "find")


def test_a_span_that_says_nothing_about_an_agent_is_no_step() -> None:
    span = Span(trace_id=b"t" * 16, span_id=b"s" * 8, name="GET /")
    span.attributes.add(key="http.request.method").value.string_value = "GET"
    assert read(span, "opentelemetry.instrumentation.requests") is None
