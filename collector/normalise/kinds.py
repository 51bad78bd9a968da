"""What a span is: by its explicit kind attribute first, then by its name; never by what happens to be on it."""

from __future__ import annotations

from collections.abc import Mapping

from collector.normalise.attributes import SpanView
from schemas.step import (
    AGENT,
    EMBEDDING,
    EVALUATION,
    GUARDRAIL,
    HANDOFF,
    LLM,
    MEMORY,
    OTHER,
    RETRIEVAL,
    STEP,
    TOOL,
    WORKFLOW,
)

OPENINFERENCE = {
    "LLM": LLM,
    "TOOL": TOOL,
    "AGENT": AGENT,
    "CHAIN": STEP,
    "RETRIEVER": RETRIEVAL,
    "RERANKER": RETRIEVAL,
    "EMBEDDING": EMBEDDING,
    "GUARDRAIL": GUARDRAIL,
    "EVALUATOR": EVALUATION,
    "PROMPT": STEP,
}
LANGFUSE = {
    "generation": LLM,
    "agent": AGENT,
    "tool": TOOL,
    "chain": STEP,
    "span": STEP,
    "retriever": RETRIEVAL,
    "embedding": EMBEDDING,
    "evaluator": EVALUATION,
    "guardrail": GUARDRAIL,
}
LANGSMITH = {
    "llm": LLM,
    "tool": TOOL,
    "chain": STEP,
    "retriever": RETRIEVAL,
    "embedding": EMBEDDING,
    "prompt": STEP,
    "agent": AGENT,
}
OPERATIONS = {
    "chat": LLM,
    "generate_content": LLM,
    "text_completion": LLM,
    "completion": LLM,
    "chat.completions": LLM,
    "text.completions": LLM,
    "message": LLM,
    "execute_tool": TOOL,
    "mcp.tool": TOOL,
    "invoke_agent": AGENT,
    "invoke_workflow": WORKFLOW,
    "handoff": HANDOFF,
    "agent_handoff": HANDOFF,
    "execute_task": STEP,
    "chain": STEP,
    "plan": STEP,
    "execute_event_loop_cycle": STEP,
    "embeddings": EMBEDDING,
    "embedding": EMBEDDING,
    "retrieval": RETRIEVAL,
    "guardrail": GUARDRAIL,
    "evaluate": EVALUATION,
}
TRACELOOP = {"workflow": WORKFLOW, "task": STEP, "agent": AGENT, "tool": TOOL, "handoff": HANDOFF}
DIFY = {
    "LLM": LLM,
    "TOOL": TOOL,
    "RETRIEVER": RETRIEVAL,
    "TASK": STEP,
    "AGENT": AGENT,
    "CHAIN": STEP,
    "EMBEDDING": EMBEDDING,
    "WORKFLOW": WORKFLOW,
}
AG2 = {"agent": AGENT, "llm": LLM, "tool": TOOL, "conversation": WORKFLOW, "handoff": HANDOFF, "code_execution": TOOL}
REQUESTS = {"chat": LLM, "completion": LLM, "embedding": EMBEDDING, "rerank": RETRIEVAL}
CLAUDE_CODE = {"interaction": AGENT, "llm_request": LLM, "tool": TOOL}
CLAUDE_CODE_SCOPE = "com.anthropic.claude_code.tracing"
EXPLICIT: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("openinference.span.kind", OPENINFERENCE),
    ("langfuse.observation.type", LANGFUSE),
    ("langsmith.span.kind", LANGSMITH),
    ("gen_ai.operation.name", OPERATIONS),
    ("traceloop.span.kind", TRACELOOP),
    ("gen_ai.span.kind", DIFY),
    ("ag2.span.type", AG2),
    ("llm.request.type", REQUESTS),
)
"""Attributes that say a kind, in the order they are believed."""
NAMES: tuple[tuple[str, str], ...] = (
    ("agent_run [", AGENT),
    ("agent run", AGENT),
    ("invoke_agent ", AGENT),
    ("running tool: ", TOOL),
    ("execute_tool ", TOOL),
    ("Tool: ", TOOL),
    ("call_llm", LLM),
    ("Model invoke", LLM),
    ("Cycle ", STEP),
    ("invocation", WORKFLOW),
    ("handoff to ", HANDOFF),
    ("workflow.execute", WORKFLOW),
    ("n8n.workflow.execute", WORKFLOW),
    ("node.execute", STEP),
    ("n8n.node.execute", STEP),
    ("tool.", TOOL),
    ("agent.", AGENT),
    ("llm.", LLM),
    ("retriever.", RETRIEVAL),
)
"""Beginnings of names, for dialects that say it nowhere else."""
BEGINNINGS = tuple(beginning for beginning, _ in NAMES)
EXACT_NAMES = {"running tool": TOOL, "running tools": OTHER, "invocation": WORKFLOW, "agent run": AGENT}


Kinds = tuple[tuple[str, Mapping[str, str]], ...]


def kind_of(view: SpanView, explicit: Kinds = EXPLICIT) -> str:
    """Say what a span is; `explicit` are those of `EXPLICIT` that it has at all."""
    get = view.attributes.get
    if view.scope == CLAUDE_CODE_SCOPE and get("span.type"):
        return CLAUDE_CODE.get(str(get("span.type")), OTHER)
    if view.name.startswith("handoff to ") and get("openinference.span.kind") == "TOOL":
        return HANDOFF
    for attribute, kinds in explicit:
        said = get(attribute)
        if said is not None:
            text = said if type(said) is str else str(said)
            kind = kinds.get(text) or kinds.get(text.lower())
            if kind is not None:
                return kind
            if attribute == "gen_ai.operation.name" and str(said).endswith(("_memory", "_memory_store")):
                return MEMORY
            if attribute == "gen_ai.operation.name" and said == "create_agent":
                return OTHER
    operation = get("ai.operationId")
    return _vercel(str(operation)) if operation else _by_name(view)


def _vercel(operation: str) -> str:
    if operation.endswith((".doGenerate", ".doStream")):
        return LLM
    if operation == "ai.toolCall":
        return TOOL
    if operation.startswith("ai.embed"):
        return EMBEDDING
    return AGENT


def _by_name(view: SpanView) -> str:
    exact = EXACT_NAMES.get(view.name)
    if exact is not None:
        return exact
    if view.name.startswith(BEGINNINGS):
        return next(kind for beginning, kind in NAMES if view.name.startswith(beginning))
    return _by_content(view)


def _by_content(view: SpanView) -> str:
    """Guess, for a convention that is followed by half: a model with token counts is a call, arguments are a tool's."""
    get = view.attributes.get
    if get("gen_ai.agent.name") and get("gen_ai.agent.name") == view.name:
        return AGENT
    has_model = get("gen_ai.request.model") is not None or get("llm.model_name") is not None
    if has_model and any(key.startswith(("gen_ai.usage.", "llm.token_count.")) for key in view.attributes):
        return LLM
    if get("gen_ai.tool.call.arguments") is not None or (get("gen_ai.tool.name") and not has_model):
        return TOOL
    if get("tool.name") is not None and get("input.value") is not None:
        return TOOL
    return OTHER
