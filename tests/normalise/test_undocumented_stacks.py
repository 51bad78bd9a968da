"""Stacks that nobody recorded for us, after what is known of their attributes: runs are read right all the same."""

from __future__ import annotations

import hand_written as by
from hand_written import log, span, steps_of, text

from schemas.step import HANDOFF, LLM, TOOL, WORKFLOW

CITY = {"city": "Paris"}


def test_ag2_messages_in_openais_shape() -> None:
    scope = "opentelemetry.instrumentation.ag2"
    asked = [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "function": {"name": "get_weather", "arguments": text(CITY)}}],
        }
    ]
    agent = {"gen_ai.operation.name": "invoke_agent", "ag2.span.type": "agent", "gen_ai.agent.name": "weather_agent"}
    chat = {
        "gen_ai.operation.name": "chat",
        "ag2.span.type": "llm",
        "gen_ai.request.model": "m",
        "gen_ai.output.messages": text(asked),
    }
    tool = {
        "gen_ai.operation.name": "execute_tool",
        "ag2.span.type": "tool",
        "gen_ai.tool.name": "get_weather",
        "gen_ai.tool.call.id": "c1",
        "gen_ai.tool.call.arguments": text(CITY),
        "gen_ai.tool.call.result": "21C",
    }
    steps = steps_of(
        span(3, "execute_tool get_weather", tool, scope=scope, parent=1),
        span(2, "chat m", chat, scope=scope, parent=1),
        span(1, "invoke_agent", agent, scope=scope),
    )
    llm = next(step for step in steps if step.kind == LLM)
    assert by.calls(steps) == (1, 1)
    assert [call.id for call in llm.calls] == ["c1"]
    assert {step.agent for step in steps} == {"weather_agent"}
    assert by.tools(steps) == {("get_weather", llm.calls[0].args_hash)}


def test_autogens_tool_call_is_counted_once_when_openinference_reports_it_inside() -> None:
    outer = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "get_weather", "gen_ai.system": "autogen"}
    inner = {"openinference.span.kind": "TOOL", "tool.name": "get_weather", "input.value": text(CITY)}
    requests = [
        one
        for n in (10, 20, 30)
        for one in (
            span(n + 1, "get_weather", inner, scope="openinference.instrumentation.autogen", parent=n),
            span(n, "execute_tool get_weather", outer, scope="autogen-core"),
        )
    ]
    steps = steps_of(*requests)
    assert by.calls(steps) == (0, 3)
    assert all(step.args_hash for step in steps)
    assert len(by.tools(steps)) == 1


def test_llamaindex_reports_one_call_as_three_nested_ones() -> None:
    scope = "openinference.instrumentation.llama_index"
    model = {"openinference.span.kind": "LLM", "llm.model_name": "m", "output.value": "assistant: done"}
    steps = steps_of(
        span(4, "Model.complete", model, scope=scope, parent=3),
        span(3, "Model.chat", model, scope=scope, parent=2),
        span(2, "Model.achat", model, scope=scope, parent=1),
        span(1, "ReActAgent.run", {"openinference.span.kind": "AGENT"}, scope=scope),
    )
    assert by.calls(steps) == (1, 0)


def test_openlit_puts_the_tools_name_on_the_model_call_and_sends_reprs() -> None:
    scope = "openlit.instrumentation.langgraph"
    chat = {
        "gen_ai.operation.name": "chat",
        "gen_ai.tool.name": "get_weather",
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 40,
    }
    tool = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "get_weather",
        "gen_ai.tool.call.arguments": "{'city': 'Paris'}",
    }
    flow = {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": "w", "gen_ai.usage.input_tokens": 80}
    steps = steps_of(
        span(2, "chat m", chat, scope=scope, parent=1),
        span(3, "tool", tool, scope=scope, parent=1),
        span(4, "chat m", chat, scope=scope, parent=1),
        span(1, "w", flow, scope=scope),
    )
    assert by.calls(steps) == (2, 1)
    assert by.tokens(steps) == 80
    assert [step.args for step in steps if step.kind == TOOL] == ['{"city":"Paris"}']
    assert {step.workflow for step in steps} == {"w"}


def test_langsmith_wraps_inputs_and_a_tools_message() -> None:
    def tool(identity: str) -> dict[str, object]:
        message = {
            "lc": 1,
            "type": "constructor",
            "id": ["langchain", "schema", "messages", "ToolMessage"],
            "kwargs": {"content": "21C", "type": "tool", "tool_call_id": identity, "status": "success"},
        }
        return {
            "langsmith.span.kind": "tool",
            "gen_ai.operation.name": "execute_tool",
            "langsmith.metadata.langgraph_node": "tools",
            "langsmith.metadata.thread_id": "th",
            "gen_ai.prompt": text({"input": "{'city': 'Paris'}"}),
            "gen_ai.completion": text({"output": message}),
        }

    steps = steps_of(
        span(1, "get_weather", tool("a"), scope="langsmith"), span(2, "get_weather", tool("b"), scope="langsmith")
    )
    assert {(step.tool, step.args, step.result) for step in steps} == {("get_weather", '{"city":"Paris"}', "21C")}
    assert {step.conversation_id for step in steps} == {"th"}
    assert {step.agent for step in steps} == {"tools"}


def test_event_only_content_of_the_official_instrumentation() -> None:
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    details = {
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}],
        "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "hello"}]}],
    }
    (step,) = steps_of(
        span(1, "chat m", chat, scope="opentelemetry.util.genai.handler"),
        log(1, "gen_ai.client.inference.operation.details", details),
    )
    assert (step.input_text, step.output_text) == ("hi", "hello")


def test_a_pydantic_ai_tool_that_is_tried_again_failed() -> None:
    tool = {
        "gen_ai.tool.name": "fetch",
        "gen_ai.tool.call.id": "c",
        "tool_arguments": text(CITY),
        "tool_response": "upstream answered 503\n\nFix the errors and try again.",
        "logfire.msg": "running tool: fetch",
        "pydantic_ai.tool.retry.cause": "ModelRetry",
    }
    (step,) = steps_of(span(1, "running tool", tool, scope="pydantic-ai"))
    assert (step.kind, step.failed, step.args) == (TOOL, True, '{"city":"Paris"}')


def test_traceloop_says_a_hand_off_in_the_name() -> None:
    handoff = {"traceloop.span.kind": "handoff", "gen_ai.handoff.from_agent": "Triage"}
    (step,) = steps_of(
        span(1, "Triage → Weather.handoff", handoff, scope="opentelemetry.instrumentation.openai_agents")
    )
    assert (step.kind, step.transfer_from, step.transfer_to) == (HANDOFF, "Triage", "Weather")


def test_flattened_prompts_of_older_openllmetry() -> None:
    chat = {
        "llm.request.type": "chat",
        "gen_ai.request.model": "m",
        "traceloop.workflow.name": "w",
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "weather?",
        "gen_ai.prompt.1.role": "assistant",
        "gen_ai.prompt.1.tool_calls.0.id": "c0",
        "gen_ai.prompt.1.tool_calls.0.name": "get_weather",
        "gen_ai.prompt.1.tool_calls.0.arguments": text(CITY),
        "gen_ai.prompt.2.role": "tool",
        "gen_ai.prompt.2.content": "21C",
        "gen_ai.prompt.2.tool_call_id": "c0",
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.finish_reason": "tool_calls",
        "gen_ai.completion.0.tool_calls.0.id": "c1",
        "gen_ai.completion.0.tool_calls.0.name": "get_weather",
        "gen_ai.completion.0.tool_calls.0.arguments": text(CITY),
        "gen_ai.usage.prompt_tokens": 40,
    }
    (step,) = steps_of(span(1, "openai.chat", chat, scope="opentelemetry.instrumentation.openai.v1"))
    assert (step.kind, step.dialect, step.finish) == (LLM, "traceloop", "tool_call")
    assert [(call.id, call.name, call.args) for call in step.calls] == [("c1", "get_weather", '{"city":"Paris"}')]
    assert [(answer.id, answer.result) for answer in step.answers] == [("c0", "21C")]


def test_smolagents_managed_agents_have_usage_once() -> None:
    scope = "openinference.instrumentation.smolagents"
    agent = {"openinference.span.kind": "AGENT", "llm.token_count.prompt": 163}
    tool = {
        "openinference.span.kind": "TOOL",
        "tool.name": "web_search",
        "input.value": text({"args": [], "sanitize_inputs_outputs": True, "kwargs": {"query": "x"}}),
    }
    steps = steps_of(
        span(3, "SimpleTool", tool, scope=scope, parent=2),
        span(2, "helper.run", agent, scope=scope, parent=1),
        span(1, "manager.run", agent, scope=scope),
    )
    assert by.tokens(steps) == 163
    assert [(step.agent, step.args) for step in steps if step.kind == TOOL] == [("helper", '{"query":"x"}')]


def test_an_mcp_call_inside_a_tool_call_is_the_same_call() -> None:
    outer = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
    inner = {
        "mcp.method.name": "tools/call",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.call.arguments": text({"q": 1}),
        "error.type": "tool_error",
    }
    steps = steps_of(span(2, "tools/call search", inner, scope="mcp", parent=1), span(1, "execute_tool search", outer))
    assert by.calls(steps) == (0, 1)
    assert steps[0].args == '{"q":1}'


def test_n8n_workflows_and_nodes_are_steps_and_say_how_they_ended() -> None:
    flow = {
        "n8n.workflow.name": "orders",
        "n8n.execution.id": "7",
        "n8n.execution.status": "error",
        "n8n.execution.error_type": "NodeApiError",
    }
    node = {"n8n.node.name": "HTTP Request", "n8n.node.type": "n8n-nodes-base.httpRequest"}
    steps = steps_of(
        span(2, "node.execute", node, scope="n8n", parent=1), span(1, "workflow.execute", flow, scope="n8n")
    )
    root, inner = steps
    assert (root.kind, root.error_type, root.workflow) == (WORKFLOW, "NodeApiError", "orders")
    assert (inner.node, inner.workflow, inner.conversation_id) == ("HTTP Request", "orders", "7")


def test_unknown_conventions_followed_by_half_do_not_vanish() -> None:
    steps = steps_of(
        span(
            1,
            "ask the model",
            {"gen_ai.operation.name": "respond", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 5},
        ),
        span(2, "do it", {"gen_ai.tool.name": "search", "gen_ai.tool.call.arguments": text({"q": 1})}),
        span(3, "something", {"gen_ai.custom": "x"}),
        span(4, "GET /", {"http.request.method": "GET"}),
    )
    assert [step.kind for step in steps] == ["llm", "tool", "other"]
    assert by.tokens(steps) == 5


def test_structured_attributes_are_as_good_as_json() -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "f"}
    steps = steps_of(
        span(1, "f", {**tool, "gen_ai.tool.call.arguments": {"b": [1, {"c": 2}], "a": "x"}}),
        span(2, "f", {**tool, "gen_ai.tool.call.arguments": '{"a": "x", "b": [1, {"c": 2}]}'}),
    )
    assert len(by.tools(steps)) == 1
