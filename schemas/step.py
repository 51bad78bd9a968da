"""A step: what one span says about an agent's run, in one shape for every dialect.

A step says only what its span, the span's logs and the relatives known so far say.
It may be published again under the same (trace id, span id) with a higher `revision`, or `retracted`.
Order within a run is (start time, span id); sequence numbers and deltas are derived from that by who needs them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

STEP_SCHEMA = 1
"""Schema version written in front of every `agent_steps` record."""

LLM = "llm"
TOOL = "tool"
AGENT = "agent"
WORKFLOW = "workflow"
STEP = "step"
RETRIEVAL = "retrieval"
EMBEDDING = "embedding"
MEMORY = "memory"
HANDOFF = "handoff"
GUARDRAIL = "guardrail"
EVALUATION = "evaluation"
OTHER = "other"
KINDS = (LLM, TOOL, AGENT, WORKFLOW, STEP, RETRIEVAL, EMBEDDING, MEMORY, HANDOFF, GUARDRAIL, EVALUATION, OTHER)
"""What a span can be. `step` is a node, task or chain; `other` carries no agent meaning by itself."""

NAME_CAP = 256
"""Characters kept of names (agent, tool, model, node ...)."""
TEXT_CAP = 8_192
"""Characters kept of input, output, arguments and results; hashes are of the whole."""
STATE_CAP = 16_384
"""Characters kept of a state's canonical JSON."""
ERROR_CAP = 512
"""Characters kept of an error text."""


class Usage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Tokens of one model call. `input` includes both cache figures, as the semantic conventions say."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0


class ToolCall(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A tool call that a model's output asks for. `args` is canonical JSON, capped; `args_hash` is of the whole."""

    id: str
    name: str
    args: str = ""
    args_hash: str = ""


class ToolAnswer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A tool's answer as it shows in the input of the next model call; `result_hash` is of the unwrapped whole."""

    id: str
    name: str = ""
    result_hash: str = ""
    result: str = ""


class SpanRef(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a span is: 32 and 16 lower-case hex digits."""

    trace_id: str
    span_id: str


class Metric(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A figure the agent reports about itself (`agent.metric.NAME`); direction is `up`, `down` or empty."""

    name: str
    value: float
    direction: str = ""


class Step(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One span, normalised. Empty strings mean unknown or not captured; times are Unix nanoseconds."""

    tenant: str
    run_id: str
    trace_id: str
    span_id: str
    kind: str
    start_ns: int
    end_ns: int
    parent_span_id: str = ""
    revision: int = 0
    retracted: bool = False
    is_root: bool = False
    name: str = ""
    service: str = ""
    framework: str = ""
    dialect: str = ""
    scope: str = ""
    agent: str = ""
    node: str = ""
    workflow: str = ""
    conversation_id: str = ""
    user: str = ""
    provider: str = ""
    model: str = ""
    response_id: str = ""
    finish: str = ""
    tool: str = ""
    tool_call_id: str = ""
    args: str = ""
    args_hash: str = ""
    args_size: int = 0
    result: str = ""
    result_hash: str = ""
    result_size: int = 0
    input_text: str = ""
    input_hash: str = ""
    input_size: int = 0
    output_text: str = ""
    output_hash: str = ""
    output_size: int = 0
    system_prompt: str = ""
    calls: Sequence[ToolCall] = ()
    answers: Sequence[ToolAnswer] = ()
    usage: Usage | None = None
    max_tokens: int = 0
    cost_usd: float | None = None
    state: str = ""
    state_hash: str = ""
    state_size: int = 0
    error: str = ""
    error_type: str = ""
    transfer_from: str = ""
    transfer_to: str = ""
    acknowledged: bool | None = None
    metrics: Sequence[Metric] = ()
    links: Sequence[SpanRef] = ()

    @property
    def order(self) -> tuple[int, str]:
        """Place within the run."""
        return (self.start_ns, self.span_id)

    @property
    def failed(self) -> bool:
        """Whether the span says that it failed; a status alone is no failure signal in every dialect."""
        return bool(self.error or self.error_type)

    @property
    def duration_ns(self) -> int:
        """Time it took, never negative."""
        return max(0, self.end_ns - self.start_ns)


def called(step: Step) -> str:
    """Name what a step does or is, for people: its tool, its agent, its model, its node, else its span's name."""
    whose = step.agent if step.kind == AGENT else ""
    return step.tool or whose or step.model or step.node or step.name
