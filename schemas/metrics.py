"""Every metric there is, with its kind and meaning; the Collector's names where it has one."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.samples import Sample


class CollectorCounter(Counter):
    """A counter exposed under its bare name, as the Collector does, without `_total` and `_created`."""

    _type = "unknown"

    def _child_samples(self) -> Iterable[Sample]:
        return (Sample("", {}, self._value.get(), None, None),)


class GaugePart:
    """One holder's part of a gauge that shows what all holders of a process have together."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._value = 0.0

    def set(self, value: float) -> None:
        """Show what this holder has now."""
        self._gauge.inc(value - self._value)
        self._value = value

    def __del__(self) -> None:
        self._gauge.dec(self._value)


# --- doors: the Collector's own names ---
ACCEPTED_SPANS = CollectorCounter("otelcol_receiver_accepted_spans", "Spans made durable", ["receiver", "transport"])
REFUSED_SPANS = CollectorCounter("otelcol_receiver_refused_spans", "Spans refused", ["receiver", "transport"])
ACCEPTED_LOGS = CollectorCounter(
    "otelcol_receiver_accepted_log_records", "Log records made durable", ["receiver", "transport"]
)
REFUSED_LOGS = CollectorCounter(
    "otelcol_receiver_refused_log_records", "Log records refused", ["receiver", "transport"]
)
ACCEPTED_POINTS = CollectorCounter(
    "otelcol_receiver_accepted_metric_points", "Metric points made durable", ["receiver", "transport"]
)
REFUSED_POINTS = CollectorCounter(
    "otelcol_receiver_refused_metric_points", "Metric points refused", ["receiver", "transport"]
)
REFUSED_REQUESTS = CollectorCounter("tracemend_receiver_refused_requests", "Requests refused", ["transport", "reason"])
CERTIFICATE_RELOADS = CollectorCounter(
    "tracemend_certificate_reloads", "Times changed certificates were read again", ["outcome"]
)
SENT_SPANS = CollectorCounter("otelcol_exporter_sent_spans", "Spans in the store", ["exporter"])
SENT_LOGS = CollectorCounter("otelcol_exporter_sent_log_records", "Log records in the store", ["exporter"])
SEND_FAILED_SPANS = CollectorCounter(
    "otelcol_exporter_send_failed_spans", "Inserts of spans that failed and are tried again", ["exporter"]
)

STORE_BROKEN_PARTS = Gauge(
    "tracemend_store_broken_parts", "Parts of tables that the store set aside because they were damaged", ["table"]
)
STORE_CIRCUIT_OPEN = Gauge(
    "tracemend_store_circuit_open", "Whether batches are kept back because the store does not answer", ["sink"]
)

STORE_RESCUED_ROWS = Gauge(
    "tracemend_store_rescued_rows",
    "Rows of damaged parts that are shown again, by where they were found",
    ["table", "source"],
)
STORE_LOST_ROWS = Gauge(
    "tracemend_store_lost_rows", "Rows of damaged parts that were found nowhere, at most; -1: nobody knows", ["table"]
)
WEBHOOK_EVENTS = CollectorCounter(
    "tracemend_webhook_events", "Events told to a webhook's receiver, refused by it, or too old", ["sink", "outcome"]
)
WEBHOOK_CIRCUIT_OPEN = Gauge("tracemend_webhook_circuit_open", "Whether a webhook's receiver is left alone", ["sink"])

# --- stages ---
STAGE_RECORDS = CollectorCounter("tracemend_stage_records", "Records handled", ["stage"])
STAGE_FAILURES = CollectorCounter(
    "tracemend_stage_failures", "Batches that failed and are tried again", ["stage", "error"]
)
STAGE_LAG = Gauge("tracemend_stage_lag_records", "Records a stage has still to read", ["stage", "topic"])
GROUP_LAG = Gauge(
    "tracemend_group_lag_records",
    "Records on Kafka that a group has not committed, of all its partitions, also those that no member has now; "
    "each member says the same (so max, not sum), and an end of a transaction counts as a record",
    ["group", "topic"],
)
STATE_DROPPED = CollectorCounter(
    "tracemend_state_dropped_records",
    "Records of state that were not read because another version wrote them",
    ["stage"],
)
RESTORE_LEFT = Gauge(
    "tracemend_restore_left_records", "Records of state still to be read before a task begins", ["stage", "partition"]
)
BUS_CLOCK_AHEAD = Gauge(
    "tracemend_bus_clock_ahead_seconds", "How far bus time is ahead of a wall clock that was set back"
)
REPEATS = CollectorCounter(
    "tracemend_repeated_records", "Records dropped because the same bytes came before", ["stage"]
)
MISROUTED = CollectorCounter(
    "tracemend_misrouted_records", "Records another program put into the wrong partition, published again", ["topic"]
)
DEAD_LETTERS_TOTAL = CollectorCounter(
    "tracemend_dead_letters", "Records put on the dead-letter topic", ["stage", "error"]
)

# --- normaliser ---
STEPS = CollectorCounter("tracemend_normaliser_steps", "Steps published", ["dialect", "kind"])
STEPS_REVISED = CollectorCounter("tracemend_normaliser_revised_steps", "Steps published again", ["reason"])
STEPS_RETRACTED = CollectorCounter(
    "tracemend_normaliser_retracted_steps", "Steps that were second reports of a call", ["reason"]
)
NORMALISER_EVICTED = CollectorCounter(
    "tracemend_normaliser_evicted", "Things the normaliser stopped waiting for", ["what", "reason"]
)

# --- what is kept in memory of what is committed ---
CACHE_BYTES = Gauge("tracemend_cache_bytes", "Bytes of memory a cache is estimated to take", ["cache"])
CACHE_EVICTED = CollectorCounter(
    "tracemend_cache_evicted",
    "Things let out of memory, to be read again when something comes for them",
    ["cache", "reason"],
)
EMBEDDED_TEXTS = CollectorCounter("tracemend_embedded_texts", "Texts made vectors of; one that is remembered is not")

# --- processors ---
LATE_STEPS = CollectorCounter("tracemend_late_steps", "Steps that came too late to change a detection", ["processor"])
RUNS_EVICTED = CollectorCounter("tracemend_runs_evicted", "Runs whose state was let go", ["processor", "reason"])
LIVE_RUNS = Gauge("tracemend_live_runs", "Runs that have state", ["processor"])
STATE_BYTES = Gauge("tracemend_state_bytes", "Bytes of state held for live runs", ["processor"])
DETECTOR_ERRORS = CollectorCounter("tracemend_detector_errors", "Exceptions in a detector", ["detector", "error"])
DETECTIONS_PUBLISHED = CollectorCounter("tracemend_detections", "Detection versions published", ["type", "status"])
HELD_BACK = CollectorCounter(
    "tracemend_findings_held_back", "Times a finding was below the threshold that people set, and not told", ["type"]
)
THRESHOLDS_IGNORED = CollectorCounter("tracemend_thresholds_ignored", "Thresholds that were not taken over", ["reason"])
ESCALATED = CollectorCounter("tracemend_escalations", "Findings handed to the next tier", ["type"])
RUN_SUMMARIES_TOLD = CollectorCounter("tracemend_run_summaries", "Versions of runs' summaries published", ["outcome"])
UNKNOWN_MODELS = CollectorCounter("tracemend_unknown_models", "Models without a price, counted once each", ["model"])
DETECTOR_READINESS = Gauge(
    "tracemend_detector_readiness", "How ready a detector is, by labelled runs: 1 at its level", ["detector", "level"]
)
DETECTION_SECONDS = Histogram(
    "tracemend_detection_seconds", "From a record's append to the detection it led to", ["detector"]
)

# --- the second look ---
SECOND_LOOKS = CollectorCounter(
    "tracemend_second_looks", "What became of grey findings the full model was asked about", ["outcome", "reason"]
)
SECOND_LOOK_TEXTS = CollectorCounter("tracemend_second_look_texts", "Texts the full model made vectors of")
SECOND_LOOK_FAILURES = CollectorCounter(
    "tracemend_second_look_failures", "Times the full model did not answer", ["error"]
)
SECOND_LOOKS_OPEN = Gauge("tracemend_second_looks_open", "Grey findings that wait for the full model")

# --- the LLM judge ---
JUDGE_CASES = Gauge("tracemend_judge_cases", "Grey findings that wait for a verdict")
JUDGE_CALLS = CollectorCounter("tracemend_judge_calls", "Calls of the judge's models", ["model", "outcome"])
JUDGE_RETRIES = CollectorCounter("tracemend_judge_retries", "Requests repeated after an error", ["reason"])
JUDGE_COST = CollectorCounter("tracemend_judge_cost_usd", "What the judge's calls cost, in USD", ["model"])
JUDGE_RULINGS = CollectorCounter("tracemend_judge_rulings", "What became of grey findings", ["ruling", "reason"])
JUDGE_DISCARDED = CollectorCounter("tracemend_judge_discarded", "Answers of models that do not count", ["reason"])
JUDGE_REMEMBERED = CollectorCounter("tracemend_judge_remembered", "Answers taken from earlier calls on the same text")
JUDGE_REFUSED = CollectorCounter("tracemend_judge_refused", "Calls that a budget forbade", ["budget"])
JUDGE_OVER_RESERVATION = CollectorCounter(
    "tracemend_judge_over_reservation_usd", "What calls cost beyond what was set aside for them, in USD"
)

# --- sinks and healing ---
ROWS_INSERTED = CollectorCounter("tracemend_sink_rows", "Rows in the store", ["table"])
SPANS_OUT_OF_RANGE = CollectorCounter(
    "tracemend_sink_spans_out_of_range", "Spans dated outside what is kept", ["reason"]
)
HEALING_DECISIONS = CollectorCounter(
    "tracemend_healing_decisions", "What became of suggested fixes", ["decision", "reason"]
)
REVIEWS = CollectorCounter(
    "tracemend_reviews", "What became of detections that people are to look at", ["outcome", "reason"]
)
POLICIES_IN_FORCE = Gauge("tracemend_policies", "Guard policies in force")
