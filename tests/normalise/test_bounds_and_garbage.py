"""What the normaliser keeps is bounded and survives a restart, and nothing inside a span makes it raise."""

from __future__ import annotations

from typing import Any

import pytest
from hand_written import log, span, steps_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from normaliser_drive import NormaliserDrive

from collector.normalise.sources import FIELDS, STATE_KEYS

EXTRA = (
    "metadata",
    "error.type",
    "openinference.span.kind",
    "gen_ai.operation.name",
    "traceloop.span.kind",
    "llm.input_messages.0.message.role",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.name",
    "gen_ai.prompt.0.content",
    "agent.metric.x",
    "langfuse.observation.usage_details",
    "ai.operationId",
)
KEYS = sorted({*(name for names in FIELDS.values() for name in names), *STATE_KEYS, *EXTRA})
FIELD_KEYS = ("gen_ai.input.messages", "gen_ai.output.messages", "content", "message", "tool_input", "tool_use_id")
EVENTS = (
    "gen_ai.choice",
    "gen_ai.user.message",
    "gen_ai.tool.message",
    "exception",
    "gen_ai.client.inference.operation.details",
)
SCOPES = (
    "by-hand",
    "openinference.instrumentation.langchain",
    "strands",
    "langfuse-sdk",
    "gcp.vertex.agent",
    "com.anthropic.claude_code.tracing",
    "opentelemetry.instrumentation.openai",
    "opentelemetry.instrumentation.openai_agents",
    "opentelemetry.instrumentation.crewai",
    "pydantic-ai",
    "traceloop.tracer",
    "autogen-core",
    "agent_framework",
    "n8n",
)
AWKWARD = (
    *("chat", "execute_tool", "LLM", "TOOL", "AGENT", "CHAIN", "-", "1e999", "[", "{'a': "),
    *('"\\ud800"', "['\\ud800']", "{1: b'x'}", "[[], [[]]]", '[["a", 1], [null]]'),
    '[{"role": 1, "parts": 2, "content": {"x": []}, "tool_calls": "x"}]',
    '{"type": "function_call", "call_id": [], "name": {}, "arguments": []}',
)
LEAVES = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=20), st.sampled_from(AWKWARD)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8),
    st.dictionaries(st.sampled_from(FIELD_KEYS), VALUES, max_size=3),
    st.sampled_from(EVENTS),
    VALUES,
    st.sampled_from(SCOPES),
)
def test_no_value_of_any_attribute_makes_it_raise(
    attributes: dict[str, Any], fields: dict[str, Any], name: str, body: Any, scope: str
) -> None:
    drive = NormaliserDrive()
    drive.send(span(1, "x", attributes, scope=scope, events=[(name, fields)]), log(1, name, fields, body))
    drive.restart()
    drive.send(span(2, "invoke_agent a", {"gen_ai.operation.name": "invoke_agent"}))
    assert "dead_letters" not in drive.topics


@pytest.mark.parametrize("opening", ["[", '{"a":', "("])
def test_nesting_without_end_is_only_a_text(opening: str) -> None:
    tool = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "f",
        "gen_ai.tool.call.arguments": opening * 50_000,
        "gen_ai.tool.call.result": opening * 200,
    }
    (step,) = steps_of(span(1, "f", tool))
    assert step.args_hash
    assert step.result_hash


def test_json_nested_deeper_than_anybody_writes_again_does_not_raise() -> None:
    tool = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "f",
        "gen_ai.tool.call.arguments": "[" * 900 + "]" * 900,
        "gen_ai.state": '{"a":' * 300 + "1" + "}" * 300,
    }
    (step,) = steps_of(span(1, "f", tool))
    assert step.args_hash


def test_many_log_records_about_one_span_do_not_make_its_row_grow_without_end() -> None:
    drive = NormaliserDrive()
    for number in range(600):
        drive.send(log(1, "gen_ai.user.message", {"content": f"message {number}"}, at=number))
    rows = [len(value) for (store, _), (value, _) in drive.state.rows.items() if store == "kin"]
    assert max(rows) < 64_000


@pytest.mark.parametrize("number", ["\u00b2", "9" * 5_000, "-1", ""])
def test_a_flattened_message_with_an_odd_number_is_passed_over(number: str) -> None:
    chat = {
        "openinference.span.kind": "LLM",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": "hi",
        f"llm.input_messages.{number}.message.content": "nobody's",
        f"llm.input_messages.0.message.tool_calls.{number}.tool_call.id": "c",
    }
    (step,) = steps_of(span(1, "chat", chat))
    assert step.input_text == "hi"


def test_an_agents_name_that_is_a_list_is_no_name_to_ignore() -> None:
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": ["a", "b"]}
    (step,) = steps_of(span(1, "a", agent, scope="opentelemetry.instrumentation.openai_agents"))
    assert step.agent == '["a","b"]'
