"""Facts that come late or from elsewhere, second reports of a call, and what half-known stacks say their own way."""

from __future__ import annotations

import json

import hand_written as by
import pytest
from hand_written import log, span, steps_of, text
from normaliser_drive import NormaliserDrive

from collector.normalise import trace_state
from schemas.step import AGENT, LLM, TOOL

CITY = {"city": "Paris"}


def test_usage_of_a_call_reported_by_two_layers_counts_once_and_is_not_lost() -> None:
    def model(name: str) -> dict[str, object]:
        return {"gen_ai.operation.name": "chat", "gen_ai.request.model": name, "gen_ai.usage.input_tokens": 40}

    steps = steps_of(
        span(3, "chat m", model("m"), scope="openlit.instrumentation.openai", parent=2),
        span(2, "chat m", model("m"), scope="openlit.instrumentation.langchain"),
    )
    assert by.calls(steps) == (1, 0)
    assert by.tokens(steps) == 40


def test_a_model_span_around_several_model_calls_is_not_one_of_them() -> None:
    model = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 10}
    steps = steps_of(
        span(3, "chat m", {**model, "gen_ai.response.id": "a"}, parent=1),
        span(4, "chat m", {**model, "gen_ai.response.id": "b"}, parent=1),
        span(1, "chat m", {**model, "gen_ai.usage.input_tokens": 20}),
    )
    assert {step.span_id[-1] for step in steps} >= {"3", "4"}
    assert by.tokens(steps) == 20


def test_langsmiths_chains_carry_the_state() -> None:
    chain = {
        "langsmith.span.kind": "chain",
        "gen_ai.operation.name": "chain",
        "langsmith.metadata.langgraph_node": "plan",
        "gen_ai.prompt": text({"messages": [], "total": 3}),
    }
    (step,) = steps_of(span(1, "plan", chain, scope="langsmith"))
    assert step.state == '{"messages":[],"total":3}'
    assert step.node == "plan"


def test_semantic_kernel_sends_content_in_logs_and_one_finish_reason() -> None:
    scope = "semantic_kernel.utils.telemetry.model_diagnostics.decorators"
    chat = {
        "gen_ai.operation.name": "chat.completions",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.response.finish_reason": "FinishReason.TOOL_CALLS",
        "gen_ai.usage.input_tokens": 50,
    }
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "Weather-get", "gen_ai.tool.call.id": "c1"}
    choice = {
        "message": {
            "role": "assistant",
            "tool_calls": [{"id": "c1", "function": {"name": "Weather-get", "arguments": text(CITY)}}],
        },
        "finish_reason": "tool_calls",
    }
    steps = steps_of(
        span(2, "chat.completions m", chat, scope=scope, parent=1),
        log(2, "gen_ai.user.message", {"gen_ai.system": "openai"}, text({"role": "user", "content": "weather?"})),
        log(2, "gen_ai.choice", {"gen_ai.system": "openai"}, text(choice), at=1),
        span(3, "execute_tool Weather-get", tool, scope="semantic_kernel.functions", parent=1),
    )
    llm = next(step for step in steps if step.kind == LLM)
    assert (llm.finish, llm.input_text, llm.usage and llm.usage.input) == ("tool_call", "weather?", 50)
    assert [call.name for call in llm.calls] == ["Weather-get"]
    assert by.tools(steps) == {("Weather-get", llm.calls[0].args_hash)}


def test_strands_before_the_conventions() -> None:
    scope = "strands-agents"
    tool = {
        "gen_ai.prompt": text({"toolUseId": "t1", "name": "get_weather", "input": CITY}),
        "tool.name": "get_weather",
        "tool.id": "t1",
        "tool.status": "success",
        "gen_ai.completion": text([{"text": "21C"}]),
    }
    other = {**tool, "tool.id": "t2", "gen_ai.prompt": text({"toolUseId": "t2", "name": "get_weather", "input": CITY})}
    model = {
        "gen_ai.system": "strands-agents",
        "agent.name": "weather",
        "gen_ai.agent.name": "weather",
        "gen_ai.prompt": text([{"role": "user", "content": [{"text": "hi"}]}]),
        "gen_ai.request.model": "m",
        "gen_ai.completion": text([{"text": "hello"}]),
        "gen_ai.usage.prompt_tokens": 40,
    }
    agent = {
        "gen_ai.system": "strands-agents",
        "gen_ai.agent.name": "weather",
        "gen_ai.prompt": "hi",
        "gen_ai.request.model": "m",
        "gen_ai.usage.prompt_tokens": 40,
        "gen_ai.completion": "hello",
    }
    steps = steps_of(
        span(4, "Tool: get_weather", tool, scope=scope, parent=2),
        span(5, "Tool: get_weather", other, scope=scope, parent=2),
        span(3, "Model invoke", model, scope=scope, parent=2),
        span(2, "Cycle 1", {"event_loop.cycle_id": "1", "gen_ai.prompt": "hi"}, scope=scope, parent=1),
        span(1, "weather", agent, scope=scope),
    )
    assert by.calls(steps) == (1, 2)
    assert [step.kind for step in steps if step.is_root] == [AGENT]
    assert {step.args for step in steps if step.kind == TOOL} == {'{"city":"Paris"}'}
    assert by.tokens(steps) == 40
    assert {step.agent for step in steps} == {"weather"}


def test_logfires_pending_spans_are_no_calls() -> None:
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "logfire.span_type": "span"}
    steps = steps_of(
        span(2, "Chat Completion with {request_data[model]!r}", chat, scope="logfire.openai"),
        span(3, "chat", {**chat, "logfire.span_type": "pending_span"}, scope="logfire.openai", parent=2),
    )
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "f", "logfire.span_type": "pending_span"}
    assert by.calls(steps) == (1, 0)
    assert [step.span_id[-1] for step in steps] == ["2"]
    assert steps_of(span(4, "running tool", tool, scope="logfire")) == []


def test_items_of_openais_responses_are_read_as_calls() -> None:
    output = [
        {"arguments": text(CITY), "call_id": "call_1", "name": "get_weather", "type": "function_call", "id": "fc"}
    ]
    chat = {"openinference.span.kind": "LLM", "output.value": text(output), "output.mime_type": "application/json"}
    (step,) = steps_of(span(1, "response", chat, scope="openinference.instrumentation.openai_agents"))
    assert [(call.id, call.name, call.args) for call in step.calls] == [("call_1", "get_weather", '{"city":"Paris"}')]
    assert step.output_text == ""


def test_adk_hands_over_to_the_agent_that_the_arguments_name() -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "transfer_to_agent"}
    named, bare = steps_of(
        span(
            1,
            "execute_tool transfer_to_agent",
            {**tool, "gcp.vertex.agent.tool_call_args": text({"agent_name": "b"})},
            scope="gcp.vertex.agent",
        ),
        span(2, "execute_tool transfer_to_agent", tool, scope="gcp.vertex.agent"),
    )
    assert (named.transfer_to, bare.transfer_to) == ("b", "")


def test_claude_codes_arguments_come_in_a_log_record_about_the_whole_interaction() -> None:
    scope = "com.anthropic.claude_code.tracing"
    tool = {"span.type": "tool", "tool_name": "Read", "tool_use_id": "t1"}
    told = {
        "event.name": "tool_result",
        "tool_use_id": "t1",
        "tool_name": "Read",
        "success": "true",
        "tool_input": text({"file_path": "a.py"}),
    }
    steps = steps_of(
        span(2, "claude_code.tool", tool, scope=scope, parent=1),
        log(1, "", told, "claude_code.tool_result"),
        span(1, "claude_code.interaction", {"span.type": "interaction"}, scope=scope),
    )
    assert [step.args for step in steps if step.kind == TOOL] == ['{"file_path":"a.py"}']


def test_dify_says_the_kind_of_a_node_and_its_framework() -> None:
    llm = {
        "gen_ai.span.kind": "LLM",
        "gen_ai.framework": "dify",
        "node.id": "n1",
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 9,
        "gen_ai.completion": "hi",
        "gen_ai.response.finish_reason": "stop",
    }
    tool = {
        "gen_ai.span.kind": "TOOL",
        "gen_ai.framework": "dify",
        "gen_ai.tool.name": "search",
        "input.value": text({"q": 1}),
        "output.value": text({"hits": []}),
    }
    steps = steps_of(span(1, "LLM", llm), span(2, "search", tool))
    assert by.calls(steps) == (1, 1)
    assert {step.framework for step in steps} == {"dify"}


def test_a_conversation_named_on_a_span_that_is_no_step_reaches_the_calls_below() -> None:
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    steps = steps_of(
        span(2, "chat m", chat, parent=1), span(1, "handle_request", {"session.id": "s-5", "user.id": "u"})
    )
    assert [(step.kind, step.conversation_id, step.user) for step in steps] == [(LLM, "s-5", "u")]


def test_links_between_requests_that_are_no_agents_join_nothing() -> None:
    drive = NormaliserDrive()
    drive.send(span(1, "orders process", {"messaging.system": "kafka"}, links=[b"\x55" * 16]))
    assert drive.topics == []


def test_a_step_that_is_final_is_not_told_again_without_its_content(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_state, "WAITING_STEPS", 3)
    tool = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "f",
        "gen_ai.tool.call.arguments": text({"q": 1}),
    }
    drive = NormaliserDrive()
    for number in range(2, 12):
        drive.send(span(number, "f", tool, parent=1))
    drive.restart()
    drive.send(span(1, "invoke_agent a", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"}))
    steps = [step for step in drive.steps() if step.kind == "tool"]
    assert len(steps) == 10
    assert all(step.args for step in steps)
    assert [step.agent for step in steps] == [""] * 7 + ["a"] * 3


def test_a_limit_of_the_wrong_type_is_no_limit() -> None:
    (step,) = steps_of(span(1, "chat m", {"gen_ai.operation.name": "chat", "gen_ai.request.max_tokens": True}))
    assert step.max_tokens == 0


def test_a_literal_with_half_a_character_stays_a_text() -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "f"}
    literal = r"['\ud800']"
    (step,) = steps_of(span(1, "f", {**tool, "gen_ai.tool.call.arguments": literal}))
    assert json.loads(step.args) == literal
