"""A store with something of everything in it, and how to ask it as Grafana does."""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple

from grafana_macros import ALL, View
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pipeline_process import PipelineProcess
from recorded_requests import moved_copy, recorded_bodies

from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Outgoing
from collector.cli.recorded_runs import recorded_runs
from schemas.topics import OTLP_SPANS

NEW_IN_THE_LAST_ROUND = ("openai-agents-oi-handoff", "smolagents-oi-loop")
"""An agent that hands over to another, and one whose tool nobody called before."""
MINUTE = 60.0
SHOWN_SECONDS = 30 * MINUTE
"""What somebody looks at; the first of three rounds of runs ends before that, so that there is a time before."""


class DemoPipeline(NamedTuple):
    """The pipeline, and what is looked at: everything picked, and one run in which something was found."""

    pipeline: PipelineProcess
    view: View

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Ask the store through its ClickHouse HTTP door."""
        return list(json.loads(self.pipeline.query(f"{sql}\nFORMAT JSON"))["data"])


def filled(pipeline: PipelineProcess, now: float) -> DemoPipeline:
    """Send three rounds of runs, answer questions, send what is damaged; wait until all of it is stored."""
    for ends in (now - SHOWN_SECONDS - 5 * MINUTE, now):
        send(pipeline, ends)
        pipeline.settle()
    answer(pipeline)
    damage(pipeline)
    send(pipeline, time.time())
    send_new(pipeline, time.time())
    pipeline.settle()
    run = pipeline.query("SELECT RunId FROM detections_latest GROUP BY RunId ORDER BY count() DESC, RunId LIMIT 1")
    until_summed_up(pipeline, run)
    picked = {"tenant": ALL, "service": ALL, "agent": ALL, "run": run}
    end = time.time() + 1
    return DemoPipeline(pipeline, View(end - SHOWN_SECONDS, end, 60, picked))


def until_summed_up(pipeline: PipelineProcess, run: str) -> None:
    """Wait until a run has ended, and is diagnosed."""
    deadline = time.monotonic() + MINUTE
    counting = f"SELECT count() FROM run_summaries WHERE RunId = '{run}'"  # noqa: S608  # an id that the store gave
    while not int(pipeline.query(counting)):
        assert time.monotonic() < deadline, pipeline.log()
        time.sleep(0.5)


def send(pipeline: PipelineProcess, ends: float) -> None:
    """Send the runs of `tracemend demo`."""
    for run in recorded_runs(int(ends * 1e9)):
        for path, body in run.requests:
            assert pipeline.post(path, body)[0] == 200


def send_new(pipeline: PipelineProcess, begins: float) -> None:
    """Send runs that are unlike those before."""
    for number, name in enumerate(NEW_IN_THE_LAST_ROUND):
        for body in recorded_bodies(name):
            moved = moved_copy(ExportTraceServiceRequest.FromString(body), number + 1, int(begins * 1e9))
            assert pipeline.post("/v1/traces", moved.SerializeToString())[0] == 200


def answer(pipeline: PipelineProcess) -> None:
    """Let a person approve a fix and leave the other questions open."""
    waiting = json.loads(pipeline.run("approvals", "list", "--format", "json"))
    asked = [event["healing_id"] for event in waiting if event["kind"] == "approval"]
    pipeline.run("approvals", "approve", asked[0], "--note", "seen, and fine")


def damage(pipeline: PipelineProcess) -> None:
    """Put a record on the bus that is no request, and send the door what it has to refuse."""
    bus = EmbeddedBus(pipeline.data_dir / "bus")
    bus.publish([Outgoing(OTLP_SPANS, "", b"\xff no request", {})]).result(30)
    bus.close()
    assert pipeline.post("/v1/traces", b"\xff no request")[0] == 400
