"""What a pipeline has come to: spans in the store, detections, and what healing did, without what depends on when."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, Protocol

from healing.policies import RULES_PER_POLICY

OF_THE_MOMENT = ("version", "detected_at", "replaces")


class Answers(Protocol):
    """A pipeline that can be asked what it has come to."""

    def query(self, sql: str) -> str:
        """Ask its store; gives tab-separated lines."""

    def detections(self, *options: str) -> list[dict[str, Any]]:
        """Read its detections back."""

    def run(self, *arguments: str) -> str:
        """Run a tracemend command on it and give what it printed."""


class Outcome(NamedTuple):
    """Everything that must not depend on crashes. `healed` holds, by healing and what happened to it, how often."""

    rows: int
    spans: int
    steps: int
    detections: dict[str, str]
    healed: dict[str, int]
    policies: dict[str, str]


def outcome_of(pipeline: Answers) -> Outcome:
    """Read it back from a pipeline that has nothing left to do."""
    rows, spans = pipeline.query("SELECT count(), uniqExact(TraceId, SpanId) FROM otel_traces").split("\t")
    steps = pipeline.query("SELECT count() FROM (SELECT DISTINCT TraceId, SpanId FROM agent_steps)")
    return Outcome(int(rows), int(spans), int(steps), _detections(pipeline), _healed(pipeline), _policies(pipeline))


def differences(found: Outcome, expected: Outcome) -> list[str]:
    """Say in what they differ, a line each."""
    lines = [
        f"{name}: {getattr(found, name)} for {getattr(expected, name)}"
        for name in ("rows", "spans", "steps")
        if getattr(found, name) != getattr(expected, name)
    ]
    for name in ("detections", "healed", "policies"):
        one, other = getattr(found, name), getattr(expected, name)
        lines += [
            f"{name}: {key} is {one.get(key)} for {other.get(key)}"
            for key in one.keys() | other.keys()
            if one.get(key) != other.get(key)
        ]
    return sorted(lines)


def _detections(pipeline: Answers) -> dict[str, str]:
    found: dict[str, str] = {}
    for document in pipeline.detections():
        timeless = {key: value for key, value in document.items() if key not in OF_THE_MOMENT}
        found[document["id"]] = json.dumps(timeless, sort_keys=True)
    return found


def _healed(pipeline: Answers) -> dict[str, int]:
    """Count what happened to each detection's fix: applied once, asked once."""
    sql = (
        "SELECT concat(DetectionId, ' ', FixType, ' ', Event), toInt64(uniqExact(EventId)) FROM "
        "(SELECT DetectionId, FixType, Event, EventId FROM healing UNION ALL "
        "SELECT DetectionId, FixType, Event, EventId FROM approvals) GROUP BY 1"
    )
    lines = pipeline.query(sql).splitlines()
    return {key: int(count) for key, count in (line.split("\t") for line in lines)}


def _policies(pipeline: Answers) -> dict[str, str]:
    """Give the rules in force; which runs they began with and until when depends on when they were made.

    So does which rules a policy has that is full: of it, only that is told.
    """
    shown: list[dict[str, Any]] = json.loads(pipeline.run("policies", "show", "--format", "json"))
    full = {f"{one['service']}/{one['agent']}": "full" for one in shown if len(one["rules"]) >= RULES_PER_POLICY}
    rules = {
        f"{one['service']}/{one['agent']}/{rule.get('fix_type')}/{rule.get('run_id')}": json.dumps(rule["parameters"])
        for one in shown
        for rule in one["rules"]
        if len(one["rules"]) < RULES_PER_POLICY
    }
    return rules | full
