"""Healing on the bus: requests, approvals, outcomes and guard policies, all JSON, and what each fix may break.

Readers are strict about the fields they know and let those pass that a later writer adds.

UnreadableDocument    never: not JSON, not of this schema, or out of bounds
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from schemas.keys import join_key
from schemas.timestamps import unix_ns

HEALING_SCHEMA: Literal["tracemend.healing/1"] = "tracemend.healing/1"
APPROVAL_SCHEMA: Literal["tracemend.approval/1"] = "tracemend.approval/1"
OUTCOME_SCHEMA: Literal["tracemend.outcome/1"] = "tracemend.outcome/1"
POLICY_SCHEMA: Literal["tracemend.policy/1"] = "tracemend.policy/1"

SAFE, MEDIUM, DANGEROUS = "SAFE", "MEDIUM", "DANGEROUS"
PROPOSE, WIDEN, WITHDRAW = "propose", "widen", "withdraw"
REQUESTED, APPROVED, REJECTED, EXPIRED = "requested", "approved", "rejected", "expired"
APPLIED, VERIFIED, ROLLED_BACK, FAILED = "applied", "verified", "rolled_back", "failed"
APPROVAL, SUGGESTION, REVIEW = "approval", "suggestion", "review"
RUN, AGENT, SERVICE = "run", "agent", "service"

CHECKPOINT_RECOVERY = "checkpoint_recovery"
RISKS: dict[str, str] = {
    # Limits that only ever refuse or report a call: at worst an agent stops too early.
    "retry_limit": SAFE,
    "circuit_breaker": SAFE,
    "execution_timeout": SAFE,
    "loop_breaker": SAFE,
    "timeout_adjustment": SAFE,
    "budget_limiter": SAFE,
    "cost_monitor": SAFE,
    "state_validation": SAFE,
    CHECKPOINT_RECOVERY: SAFE,  # where a checkpoint is stored; see `risk_of`
    # These change how an agent works.
    "exponential_backoff": MEDIUM,
    "context_pruning": MEDIUM,
    "summarization": MEDIUM,
    "window_management": MEDIUM,
    "schema_enforcement": MEDIUM,
    "deadlock_prevention": MEDIUM,
    "task_decomposition": MEDIUM,
    "subtask_validator": MEDIUM,
    "token_optimizer": MEDIUM,
    "state_reset": MEDIUM,
    "strategy_switch": MEDIUM,
    "regression_guard": MEDIUM,
    "direction_lock": MEDIUM,
    "exploration_temperature": MEDIUM,
    # These change what an agent is told, may do, or stop it for good.
    "emergency_stop": DANGEROUS,
    "prompt_reinforcement": DANGEROUS,
    "prompt_modification": DANGEROUS,
    "role_boundary": DANGEROUS,
    "input_filtering": DANGEROUS,
    "safety_boundary": DANGEROUS,
    "permission_gate": DANGEROUS,
    "fact_checking": DANGEROUS,
    "source_grounding": DANGEROUS,
    "confidence_calibration": DANGEROUS,
    "transparency_enforcer": DANGEROUS,
    "completeness_check": DANGEROUS,
    "task_anchoring": DANGEROUS,
    "goal_tracking": DANGEROUS,
}
"""The closed vocabulary of fixes. What does not stand here is DANGEROUS."""

GOVERNANCE = frozenset(
    {
        "approval_bypass",
        "authority_gradient",
        "cowork_safety",
        "exploration_safety",
        "reward_hacking",
        "role_usurpation",
        "subagent_boundary",
    }
)
"""Detection types that are about people's authority over agents: no machine mends them."""

Name = Annotated[str, Meta(max_length=256)]
Id = Annotated[str, Meta(min_length=1, max_length=128)]
HealingId = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=16_384)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Risk = Literal["SAFE", "MEDIUM", "DANGEROUS"]
Scope = Literal["run", "agent", "service"]
Action = Literal["propose", "widen", "withdraw"]
ApprovalEvent = Literal["requested", "approved", "rejected", "expired"]
OutcomeEvent = Literal["applied", "verified", "rolled_back", "failed"]


class Place(msgspec.Struct, frozen=True):
    """Where a span is: 32 and 16 lower-case hex digits."""

    trace_id: Name
    span_id: Name


class ProposedFix(msgspec.Struct, frozen=True):
    """What a detection suggests. What it says about its own risk is not read."""

    fix_type: Name
    parameters: dict[str, Any] = {}
    description: Text = ""


class SeenDetection(msgspec.Struct, frozen=True, kw_only=True):
    """What healing reads of a detection; field names are those of `tracemend.detection/1`."""

    id: Id
    version: Count
    type: Name
    status: Literal["open", "closed", "withdrawn"]
    confidence: Share
    severity: Name
    title: Text
    explanation: Text
    run_id: Name
    trace_id: Name
    event_time: str
    spans: Annotated[tuple[Place, ...], Meta(max_length=256)] = ()
    evidence: dict[str, Any] = {}

    def __post_init__(self) -> None:
        unix_ns(self.event_time)

    @property
    def event_ns(self) -> int:
        """When the span that crossed the line happened, Unix ns."""
        return unix_ns(self.event_time)


class HealingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A detection with its proposed fix and the fix's risk.

    `propose` comes with each version of a detection, `withdraw` when there was nothing to heal. `widen` hands a fix
    that applied to a run over to the agent whose name has become known; `decided_at` says when it was decided.
    """

    schema: Literal["tracemend.healing/1"] = HEALING_SCHEMA
    id: HealingId
    action: Action
    tenant: Name
    service: Name | None
    agent: Name | None
    detection: SeenDetection
    fix: ProposedFix | None
    risk: Risk | None
    at: str
    decided_at: str | None = None

    def __post_init__(self) -> None:
        unix_ns(self.decided_at or self.at)


class HandOff(msgspec.Struct, frozen=True, kw_only=True):
    """What a person needs to decide: about whom, what happened, how to undo it, until when."""

    who: Text
    title: Text
    explanation: Text
    evidence: dict[str, Any]
    run_id: Name
    trace_id: Name
    spans: tuple[Place, ...]
    recommended_rollback: Text
    applies_on_approval: bool
    deadline: str


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """One event in the life of a question to a person.

    `kind`: a fix that needs an answer, one that is only suggested, or a review: is the detection right? A review has
    no fix; its `healing_id` is the question's own, and `parameters` say what the detection was when it was asked about.
    """

    schema: Literal["tracemend.approval/1"] = APPROVAL_SCHEMA
    id: Id
    healing_id: HealingId
    event: ApprovalEvent
    kind: Literal["approval", "suggestion", "review"]
    tenant: Name
    service: Name | None
    agent: Name | None
    detection_id: Id
    detection_version: Count
    detection_type: Name
    detection_title: Text
    fix_type: Name
    risk: Risk
    parameters: dict[str, Any]
    reason: Text
    who: Name | None
    note: Text | None
    at: str
    deadline: str | None
    hand_off: HandOff | None


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule a guard enforces. It stands as long as one of its detections does, at most until `expires_at`."""

    id: Id
    fix_type: Name
    parameters: dict[str, Any]
    scope: Scope
    run_id: Name | None
    expires_at: str
    detection_ids: tuple[Id, ...]

    def __post_init__(self) -> None:
        unix_ns(self.expires_at)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The guard policy in force; agent empty = the whole service. `version` only grows."""

    schema: Literal["tracemend.policy/1"] = POLICY_SCHEMA
    tenant: Name
    service: Name
    agent: Name
    version: Count
    at: str
    rules: tuple[Rule, ...]


class PolicyFigures(msgspec.Struct, frozen=True):
    """A policy in two numbers."""

    policy_version: Count
    rules: Count


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a fix. `checkpoint` is the policy that was in force before; `by` who approved, if anybody."""

    schema: Literal["tracemend.outcome/1"] = OUTCOME_SCHEMA
    id: Id
    healing_id: HealingId
    event: OutcomeEvent
    tenant: Name
    service: Name | None
    agent: Name | None
    detection_id: Id
    detection_version: Count
    detection_type: Name
    run_id: Name
    fix_type: Name
    risk: Risk
    parameters: dict[str, Any]
    scope: Scope | None
    rule_id: Id | None
    reason: Text
    by: Name | None
    at: str
    before: PolicyFigures | None
    after: PolicyFigures | None
    checkpoint: Policy | None


class UnreadableDocument(ValueError):  # noqa: N818  # named by what the reader should know
    """A record that is none of ours."""


Document = HealingRequest | Approval | Outcome | Policy
DocumentT = TypeVar("DocumentT", bound=Document)


def encode(document: Document) -> bytes:
    """Write a document as JSON; raises UnreadableDocument for values JSON readers could not take back."""
    try:
        return msgspec.json.encode(document)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise UnreadableDocument(f"cannot be written: {error}") from error


def decode(kind: type[DocumentT], value: bytes) -> DocumentT:
    """Read a document; raises UnreadableDocument."""
    try:
        return msgspec.json.decode(value, type=kind)
    except (ValueError, RecursionError) as error:
        raise UnreadableDocument(f"not a {kind.__name__}: {error}") from error


def risk_of(fix_type: str, has_checkpoint: bool = False) -> str:
    """Say what a fix may break: unknown ones, and a recovery for which no checkpoint is stored, are DANGEROUS."""
    if fix_type == CHECKPOINT_RECOVERY and not has_checkpoint:
        return DANGEROUS
    return RISKS.get(fix_type, DANGEROUS)


def is_governance(detection_type: str) -> bool:
    """Say whether a detection is about governance; variants (`role_usurpation_exec`) are too."""
    written = detection_type.strip().lower()
    return any(written == known or written.startswith(f"{known}_") for known in GOVERNANCE)


def healing_key(tenant: str, service: str | None, agent: str | None) -> str:
    """Build the key that healing topics are written under."""
    return join_key(tenant, service or "", agent or "")
