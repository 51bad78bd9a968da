"""What stands on each topic, in words and by schema: what the AsyncAPI document says of it."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, NamedTuple

import orjson

from schemas import topics

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
MSGPACK = "application/msgpack"
BYTES = "application/octet-stream"

SEND, RECEIVE = "send", "receive"


class Channel(NamedTuple):
    """A topic as its readers and writers see it.

    `key` says what its parts are. `actions` are what Tracemend does that a program
    of somebody else's may meet: it sends what others read, it receives what others write; internal topics have none.
    `schema` names a file in `schemas/json/`; `reference` a document that says what the value is.
    """

    topic: str
    message: str
    what: str
    key: str
    content_type: str
    actions: tuple[str, ...] = ()
    schema: str = ""
    reference: str = ""


INTERNAL = "Internal: read by Tracemend's own parts, and its format changes with them."
OTLP = "https://opentelemetry.io/docs/specs/otlp/"
TRACE_KEY = "trace id (32 hex digits) where the record holds one trace, else empty"
AGENT_KEY = "tenant/service/agent"

CHANNELS: tuple[Channel, ...] = (
    Channel(
        topics.DETECTIONS,
        "detection",
        "What was found. A detection is told again under its id with a higher version as it changes: "
        "keep the highest version by id, and none that is withdrawn.",
        "tenant/run",
        JSON,
        (SEND,),
        schema="detection-1",
    ),
    Channel(
        topics.HEALING,
        "healing_request",
        "A detection with the fix it suggests and that fix's risk.",
        AGENT_KEY,
        JSON,
        (SEND,),
        schema="healing-1",
    ),
    Channel(
        topics.APPROVALS,
        "approval",
        "Questions to a person, and the answers. Whoever answers publishes the question again under the same key, "
        "with event approved or rejected, an id of its own, and who answers.",
        AGENT_KEY,
        JSON,
        (SEND, RECEIVE),
        schema="approval-1",
    ),
    Channel(
        topics.HEALING_OUTCOMES,
        "outcome",
        "What became of a fix: applied, verified, rolled back, failed.",
        AGENT_KEY,
        JSON,
        (SEND,),
        schema="outcome-1",
    ),
    Channel(
        topics.POLICIES,
        "policy",
        "The guard policy now in force for an agent, or with an empty agent for a whole service. Compacted.",
        AGENT_KEY,
        JSON,
        (SEND,),
        schema="policy-1",
    ),
    Channel(
        topics.THRESHOLDS,
        "threshold",
        "From which confidence on a detector's findings are told: the highest version of each key holds. Compacted; "
        "a threshold is taken away by a record whose min_confidence is null.",
        "tenant/detector/framework",
        JSON,
        (SEND, RECEIVE),
        schema="threshold-1",
    ),
    Channel(
        topics.FEEDBACK,
        "feedback",
        "Verdicts of people on detections. Of one person's on one detection the highest version counts.",
        "tenant/detection id",
        JSON,
        (SEND, RECEIVE),
        schema="feedback-1",
    ),
    Channel(
        topics.OTLP_SPANS,
        "otlp_spans",
        "Spans as they came: ExportTraceServiceRequest. A Collector's kafkaexporter may write here "
        "(encoding otlp_proto), its kafkareceiver may read.",
        TRACE_KEY,
        PROTOBUF,
        (SEND, RECEIVE),
        reference=OTLP,
    ),
    Channel(
        topics.OTLP_LOGS,
        "otlp_logs",
        "Log records as they came: ExportLogsServiceRequest, with as many partitions as otlp_spans.",
        f"{TRACE_KEY}; without one the session id",
        PROTOBUF,
        (SEND, RECEIVE),
        reference=OTLP,
    ),
    Channel(
        topics.OTLP_METRICS,
        "otlp_metrics",
        "Metric points as they came: ExportMetricsServiceRequest.",
        "service",
        PROTOBUF,
        (SEND, RECEIVE),
        reference=OTLP,
    ),
    Channel(topics.AGENT_STEPS, "agent_steps", f"Normalised steps of agent runs. {INTERNAL}", "tenant/run", MSGPACK),
    Channel(topics.RUN_LINKS, "run_links", f"Pairs of runs that belong together. {INTERNAL}", "tenant", MSGPACK),
    Channel(topics.RUN_SUMMARIES, "run_summary", f"One record per run that ended. {INTERNAL}", AGENT_KEY, MSGPACK),
    Channel(
        topics.ESCALATIONS,
        "escalation",
        f"Findings in the grey zone, on their way to the next tier (header next_tier). {INTERNAL}",
        "tenant/run",
        MSGPACK,
    ),
    Channel(
        topics.USAGE, "usage", f"Tokens and money of one call, or what is taken back. {INTERNAL}", "tenant", MSGPACK
    ),
    Channel(
        topics.JUDGE_BUDGET,
        "judge_purse",
        f"Money the LLM judge asks for before a call, and what it gives back after it. {INTERNAL}",
        "tenant",
        MSGPACK,
    ),
    Channel(topics.JUDGE_GRANTS, "judge_grant", f"Answers to those. {INTERNAL}", "tenant/run", MSGPACK),
    Channel(
        topics.DEAD_LETTERS,
        "dead_letter",
        "Records that could not be handled, as they were, cut where they are too large. "
        "`tracemend dead-letters` lists them and puts them back.",
        "the record's own key",
        BYTES,
        (SEND,),
    ),
)


def json_schema(name: str) -> dict[str, Any]:
    """Read a published JSON Schema by its file's name without the ending."""
    schema: dict[str, Any] = orjson.loads((files("schemas") / "json" / f"{name}.json").read_bytes())
    return schema
