"""The normaliser: spans and logs of any dialect in, steps out, each published again when something new is known of it.

One stage; what spans wait for is its committed state. Repeats of a request are dropped here, as in the span sink.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import xxhash
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.bus.dead_letters import dead_letter
from collector.bus.protocol import Batch, Handled, Outgoing, Record, State
from collector.bus.repeats import Repeats
from collector.misrouted import in_one_partition, is_misrouted, routed
from collector.normalise.attributes import Origin, SpanView, attributes
from collector.normalise.dialects.recognise import speaks_of_agents
from collector.normalise.inherit import effective
from collector.normalise.log_facts import fact_of
from collector.normalise.reading import read_names, read_step
from collector.normalise.relatives import Relatives
from collector.normalise.shapes import shape_of
from collector.normalise.sources import STATE_KEYS
from collector.normalise.trace_state import Kin, TraceState
from collector.normalise.traces import TraceBounds, Traces
from collector.protobuf_wire import WireError
from schemas.keys import DEFAULT_TENANT, join_key
from schemas.metrics import MISROUTED, STAGE_RECORDS, STEPS, STEPS_RETRACTED, STEPS_REVISED
from schemas.step import Step
from schemas.steps_codec import encode_step, join_steps
from schemas.topics import AGENT_STEPS, OTLP_LOGS, OTLP_SPANS, RUN_LINKS, TENANT_HEADER

LINKS_SCHEMA = 1
_encode = msgspec.msgpack.Encoder().encode


class _Work:
    """What one batch touched in one trace."""

    def __init__(self, tenant: str, trace_id: str, key: str, trace: TraceState) -> None:
        self.tenant, self.trace_id, self.key = tenant, trace_id, key
        self.trace = trace
        self.changed: dict[str, bool] = {}
        self.told: set[str] = set()

    def put(self, span_id: str, kin: Kin) -> None:
        """Take in what is known of a span; whether it said something else before matters to all below it."""
        known = self.trace.kin.get(span_id)
        said_before = known is not None and known.arrived and kin.arrived and not kin.facts
        self.trace.put(span_id, kin)
        self.changed[span_id] = self.changed.get(span_id, False) or said_before


Touched = dict[tuple[str, bytes], _Work]
"""What a batch touched, by tenant and trace id."""


class Normaliser:
    """The stage; owned by its thread."""

    group = "normaliser"
    topics: Sequence[str] = (OTLP_SPANS, OTLP_LOGS)

    def __init__(
        self,
        repeat_window_seconds: float = 600,
        state_keys: Sequence[str] = STATE_KEYS,
        bounds: TraceBounds = TraceBounds(),  # noqa: B008  # it cannot change
        partitions: Callable[[str], int] = in_one_partition,
    ) -> None:
        self._repeats = Repeats(self.group, repeat_window_seconds)
        self._state_keys = tuple(state_keys)
        self._traces = Traces(bounds)
        self._partitions = partitions
        self._counted: Counter[tuple[bool, bool, str, str]] = Counter()

    def restore(self, state: State) -> None:
        """Start from the committed state."""
        self._repeats.restore(state)
        self._traces.forget(state)

    def handle(self, batch: Batch, state: State) -> Handled:
        """Take in spans and logs, and publish every step of which something new is known."""
        STAGE_RECORDS.labels(stage=self.group).inc(len(batch.records))
        fresh, changes = self._repeats.fresh(batch.records, batch.now_ns)
        outputs: list[Outgoing] = []
        work: Touched = {}
        links: dict[str, set[tuple[str, str, str]]] = {}
        for record in fresh:
            try:
                if is_misrouted(record, self._partitions(record.topic)):
                    outputs += self._put_right(record)
                else:
                    self._take_in(record, state, work, links)
            except (DecodeError, WireError) as error:
                outputs.append(dead_letter(record, error, self.group))
        for one in work.values():
            one.trace.last_seen_ns = batch.now_ns
            outputs += self._publish(one)
            changes += self._traces.changes(one.key, one.trace, one.changed, one.told)
        outputs += (_links(tenant, pairs) for tenant, pairs in links.items())
        changes += self._traces.expire(state, batch.now_ns, {one.key for one in work.values()})
        self._traces.trim()
        self._count()
        return Handled(outputs, changes)

    def _put_right(self, record: Record) -> Sequence[Outgoing]:
        """Publish a record once more, where what it holds belongs."""
        MISROUTED.labels(topic=record.topic).inc()
        return routed(record, self._partitions(record.topic))

    # --- taking in ---

    def _take_in(
        self,
        record: Record,
        state: State,
        work: Touched,
        links: dict[str, set[tuple[str, str, str]]],
    ) -> None:
        tenant = record.headers.get(TENANT_HEADER, DEFAULT_TENANT.encode()).decode("utf-8", "replace")
        if record.topic == OTLP_LOGS:
            for log in _logs(ExportLogsServiceRequest.FromString(record.value)):
                self._log(log, tenant, state, work)
            return
        request = ExportTraceServiceRequest.FromString(record.value)
        for resource_spans in request.resource_spans:
            resource = attributes(resource_spans.resource.attributes)
            for scope_spans in resource_spans.scope_spans:
                origin = Origin(resource, scope_spans.scope.name)
                for span in scope_spans.spans:
                    about_agents = self._span(span, origin, tenant, state, work)
                    if span.links and about_agents:
                        links.setdefault(tenant, set()).update(_linked(span))

    def _span(self, span: Any, origin: Origin, tenant: str, state: State, work: Touched) -> bool:
        """Take in a span; returns whether it has to do with agents, so that its links say what belongs together."""
        view = SpanView(span, origin)
        shape = shape_of(origin.scope, view.attributes)
        step = read_step(view, shape, tenant, self._state_keys)
        used = step is not None and (step.usage is not None or step.cost_usd is not None)
        names = read_names(view, shape) if step is None else {}
        one = self._work(tenant, span.trace_id, state, work)
        one.put(view.span_id, Kin(view.parent, span.start_time_unix_nano, step, arrived=True, used=used, names=names))
        return step is not None or speaks_of_agents(origin.scope)

    def _log(self, log: Any, tenant: str, state: State, work: Touched) -> None:
        if len(log.trace_id) != 16 or len(log.span_id) != 8:
            return
        fact = fact_of(log)
        if fact is None:
            return
        one = self._work(tenant, log.trace_id, state, work)
        span_id = log.span_id.hex()
        known = one.trace.kin.get(span_id)
        if known is None:
            one.put(span_id, Kin("", 0, facts=[fact]))
        elif fact not in known.facts:
            one.put(span_id, msgspec.structs.replace(known, facts=[fact]))

    def _work(self, tenant: str, trace_id: bytes, state: State, work: Touched) -> _Work:
        one = work.get((tenant, trace_id))
        if one is None:
            written = trace_id.hex()
            key = join_key(tenant, written)
            one = work[tenant, trace_id] = _Work(tenant, written, key, self._traces.get(key, state))
        return one

    # --- publishing ---

    def _publish(self, one: _Work) -> Iterator[Outgoing]:
        """Publish the steps that are other than they were told last, one record a run."""
        relatives = Relatives(one.trace)
        by_run: dict[str, list[bytes]] = {}
        for span_id in sorted(relatives.touched_by(one.changed) & one.trace.waiting.keys()):
            step = effective(relatives, span_id)
            if step is not None:
                self._renew(one, span_id, step, by_run)
        for run_id, encoded in by_run.items():
            headers = {TENANT_HEADER: one.tenant.encode()}
            key = one.key if run_id == one.trace_id else join_key(one.tenant, run_id)
            yield Outgoing(AGENT_STEPS, key, join_steps(encoded), headers)

    def _renew(self, one: _Work, span_id: str, step: Step, by_run: dict[str, list[bytes]]) -> None:
        """Add a step to what is published of its run, unless that was told already."""
        kin = one.trace.kin[span_id]
        if step.retracted and kin.revision < 0:
            return
        encoded = encode_step(step)
        digest = xxhash.xxh3_64_intdigest(encoded)
        if digest == kin.digest and kin.revision >= 0:
            return
        kin.revision, kin.digest = kin.revision + 1, digest
        one.told.add(span_id)
        self._counted[step.retracted, bool(kin.revision), step.dialect, step.kind] += 1
        if kin.revision:
            encoded = encode_step(msgspec.structs.replace(step, revision=kin.revision))
        by_run.setdefault(step.run_id, []).append(encoded)

    def _count(self) -> None:
        """Tell the metrics, once a batch."""
        for (retracted, revised, dialect, kind), count in self._counted.items():
            if retracted:
                STEPS_RETRACTED.labels(reason="second_report").inc(count)
            elif revised:
                STEPS_REVISED.labels(reason="late_fact").inc(count)
            else:
                STEPS.labels(dialect=dialect, kind=kind).inc(count)
        self._counted.clear()


def _logs(request: ExportLogsServiceRequest) -> Iterator[Any]:
    for resource_logs in request.resource_logs:
        for scope_logs in resource_logs.scope_logs:
            yield from scope_logs.log_records


def _linked(span: Any) -> Iterator[tuple[str, str, str]]:
    own = span.trace_id.hex()
    for link in span.links:
        other = link.trace_id.hex()
        if len(other) == 32 and other != own:
            yield (*sorted((own, other)), "link")


def _links(tenant: str, pairs: set[tuple[str, str, str]]) -> Outgoing:
    value = _encode((LINKS_SCHEMA, sorted(pairs)))
    return Outgoing(RUN_LINKS, join_key(tenant), value, {TENANT_HEADER: tenant.encode()})
