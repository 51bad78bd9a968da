"""The topics, once: who writes what under which key, and how each is kept."""

from __future__ import annotations

from typing import NamedTuple

OTLP_SPANS = "otlp_spans"
OTLP_LOGS = "otlp_logs"
OTLP_METRICS = "otlp_metrics"
AGENT_STEPS = "agent_steps"
RUN_LINKS = "run_links"
RUN_SUMMARIES = "run_summaries"
ESCALATIONS = "escalations"
USAGE = "usage"
JUDGE_BUDGET = "judge_budget"
JUDGE_GRANTS = "judge_grants"
DETECTIONS = "detections"
HEALING = "healing"
APPROVALS = "approvals"
HEALING_OUTCOMES = "healing_outcomes"
POLICIES = "policies"
THRESHOLDS = "thresholds"
FEEDBACK = "feedback"
DEAD_LETTERS = "dead_letters"

DAY_SECONDS = 86_400


MIB = 1024 * 1024
HUGE, LARGE, SMALL = 16 * MIB, 4 * MIB, 2 * MIB
"""How large a batch of records may be on Kafka: of steps and states, of requests, and of documents."""


class Topic(NamedTuple):
    """How a topic is kept. Compacted topics keep the last record of each key for good.

    `max_message_bytes` is the most that a record takes on Kafka, alone or in a batch.
    """

    name: str
    retention_seconds: int
    compacted: bool = False
    public_json: bool = False
    max_message_bytes: int = SMALL


TOPICS: tuple[Topic, ...] = (
    Topic(OTLP_SPANS, 3 * DAY_SECONDS, max_message_bytes=LARGE),
    Topic(OTLP_LOGS, 3 * DAY_SECONDS, max_message_bytes=LARGE),
    Topic(OTLP_METRICS, DAY_SECONDS, max_message_bytes=LARGE),
    Topic(AGENT_STEPS, 3 * DAY_SECONDS, max_message_bytes=HUGE),
    Topic(RUN_LINKS, 3 * DAY_SECONDS),
    Topic(RUN_SUMMARIES, 7 * DAY_SECONDS),
    Topic(ESCALATIONS, 3 * DAY_SECONDS),
    Topic(USAGE, 3 * DAY_SECONDS),
    Topic(JUDGE_BUDGET, 3 * DAY_SECONDS),
    Topic(JUDGE_GRANTS, 3 * DAY_SECONDS),
    Topic(DETECTIONS, 7 * DAY_SECONDS, public_json=True),
    Topic(HEALING, 7 * DAY_SECONDS, public_json=True),
    Topic(APPROVALS, 30 * DAY_SECONDS, public_json=True),
    Topic(HEALING_OUTCOMES, 30 * DAY_SECONDS, public_json=True),
    Topic(POLICIES, 0, compacted=True, public_json=True),
    Topic(THRESHOLDS, 0, compacted=True, public_json=True),
    Topic(FEEDBACK, 30 * DAY_SECONDS, public_json=True),
    Topic(DEAD_LETTERS, 30 * DAY_SECONDS),
)
GROUPS = (
    "normaliser",
    "processors",
    "spend",
    "embedding_similarity",
    "run_tracker",
    "second_look",
    "llm_judge",
    "judge_budget",
    "healing_router",
    "healing",
    "review_requests",
    "review_answers",
    "policy_endpoint",
    "thresholds",
    "sinks/clickhouse",
)
"""The groups that read topics; each keeps its state on a changelog of its own where the bus is Kafka."""
BY_NAME = {topic.name: topic for topic in TOPICS}


def changelog_of(group: str) -> Topic:
    """Give the topic on which a group's keyed state is kept on Kafka, partition by partition."""
    return Topic(f"{group.replace('/', '-')}-changelog", 0, compacted=True, max_message_bytes=HUGE)


TENANT_HEADER = "tenant"
CONTENT_HASH_HEADER = "content-hash"
CONTENT_TYPE_HEADER = "content-type"
REPLAY_HEADER = "replay"
"""Names the dead letter that a record was, and when it was put back."""
REPLAY_FOR_HEADER = "replay-for"
"""The only stage that is to handle a record that was put back: the others have."""
