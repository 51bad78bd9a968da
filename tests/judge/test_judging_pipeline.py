"""The judge in a real pipeline: a budget across a `kill -9`, a network that is cut, a key that is not there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from escalated_runs import id_of, steps_record, trace
from judged_runs import finding_of, grey_run, steps_of, told
from messages_server import MessagesServer, Reply, quote_of, verdict
from pipeline_process import PipelineProcess

from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Outgoing
from schemas.judge import MICRO

WAIT_SECONDS = 90.0
RUN_USD = 0.01
FINDINGS = 72
PRICES = {"claude-haiku-5-5": (0.1, 0.5), "claude-sonnet-5-5": (2.0, 10.0), "claude-opus-5-5": (4.0, 20.0)}
"""USD a million tokens, in and out; the smallest first, as the judge asks them."""
Start = Callable[..., PipelineProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[PipelineProcess] = []

    def make(*settings: str) -> PipelineProcess:
        started.append(PipelineProcess(tmp_path / "data", "service::processes=1", *settings))
        return started[-1].start()

    yield make
    for one in started:
        one.kill_if_running()


def judged_by(url: str, *settings: str) -> list[str]:
    return [f"processors::llm_judge::{one}" for one in ("api_key=sk-test", f"base_url={url}", *settings)]


def put(pipeline: PipelineProcess, records: list[Outgoing]) -> None:
    """Put records on the bus of a running pipeline, as another process of it does."""
    bus = EmbeddedBus(pipeline.data_dir / "bus", readers=())
    bus.publish(records).result(30)
    bus.close()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.2)


def unsure(body: dict[str, Any]) -> Reply:
    """Answer after a while and never surely: all three models cost 7 cents a finding."""
    reply = verdict(body, "unclear", 0.5, quote_of(body), input_tokens=4_000, output_tokens=1_500)
    return reply._replace(wait_seconds=0.2)


def findings_of(run: str, numbers: range) -> list[Outgoing]:
    """Tell of findings that differ, so that no answer to one is an answer to another."""
    names = [f"call {number}" for number in numbers]
    return [record for name in names for record in told(run, finding_of(run, 2, fingerprint=name, title=name))]


def cost_micro_usd(model: str, input_tokens: int, output_tokens: int) -> float:
    """Price a call by the price list of the day this was written."""
    per_input, per_output = PRICES[model]
    return input_tokens * per_input + output_tokens * per_output


def billed_micro_usd(api: MessagesServer) -> float:
    return sum(cost_micro_usd(bill["model"], bill["input_tokens"], bill["output_tokens"]) for bill in api.billed)


def judged(pipeline: PipelineProcess) -> int:
    """Count the detections in the store that the judge has told of."""
    return int(pipeline.query("SELECT count() FROM detections_latest WHERE Evidence LIKE '%\"judge\"%'"))


@pytest.mark.crash
def test_a_budget_of_a_cent_is_not_exceeded_by_a_run_that_would_cost_five_dollars_across_a_kill(
    start: Start, api: MessagesServer
) -> None:
    run = trace(9)
    assert FINDINGS * sum(cost_micro_usd(model, 4_000, 1_500) for model in PRICES) > 5 * MICRO
    api.script = unsure
    settings = judged_by(api.url, f"budgets::run_usd={RUN_USD}")
    pipeline = start(*settings)
    put(pipeline, [steps_record(steps_of(run, ["No flights.", "None."])), *findings_of(run, range(FINDINGS // 2))])
    until(lambda: len(api.requests) >= 1)
    pipeline.kill()
    pipeline = start(*settings)
    later = findings_of(run, range(FINDINGS // 2, FINDINGS))
    put(pipeline, [steps_record(steps_of(run, ["No flights.", "None."])), *later])
    until(lambda: judged(pipeline) == FINDINGS)
    assert len(api.billed) >= 2
    assert billed_micro_usd(api) <= RUN_USD * MICRO
    stored = float(pipeline.query("SELECT sum(CostUsd) FROM cost_metrics WHERE Agent = 'llm_judge'"))
    assert 0 < stored <= RUN_USD
    assert pipeline.stop() == 0


def test_with_the_network_cut_the_pipeline_goes_on(start: Start, api: MessagesServer) -> None:
    api.close()
    pipeline = start(*judged_by(api.url, "max_wait_seconds=2"))
    put(pipeline, [record for number in range(5) for record in grey_run(trace(number), [f"{number} here", "none"])])
    until(lambda: judged(pipeline) == 5)
    (found,) = pipeline.detections("--trace", trace(3))
    assert found["id"] == id_of(trace(3), finding_of(trace(3), 2))
    assert (found["confidence_tier"], found["status"]) == ("POSSIBLE", "open")
    assert found["evidence"]["judge"]["why"] == "unavailable"
    assert pipeline.get("metrics", "/healthz")[0] == 200
    assert pipeline.stop() == 0


def test_without_a_key_the_judge_is_off_says_so_once_and_grey_findings_are_told(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    pipeline = start()
    put(pipeline, grey_run(trace(1)))
    until(lambda: bool(pipeline.detections("--trace", trace(1))))
    (found,) = pipeline.detections("--trace", trace(1))
    assert (found["confidence_tier"], found["tier"]) == ("POSSIBLE", 3)
    assert pipeline.log().count("the LLM judge is off") == 1
    assert pipeline.stop() == 0


def test_a_pipeline_that_is_stopped_waits_for_the_calls_it_has_paid_for(start: Start, api: MessagesServer) -> None:
    api.script = lambda body: verdict(body, "no", 0.9, quote_of(body))._replace(wait_seconds=2.0)
    pipeline = start(*judged_by(api.url))
    put(pipeline, grey_run(trace(1)))
    until(lambda: len(api.requests) == 1)
    assert pipeline.stop() == 0
    pipeline = start(*judged_by(api.url))
    until(lambda: judged(pipeline) == 1)
    assert len(api.requests) == 1
    assert pipeline.detections("--trace", trace(1))[0]["tier"] == 4


def test_key_and_address_are_taken_from_the_environment(
    start: Start, api: MessagesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-from-outside")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
    pipeline = start()
    put(pipeline, grey_run(trace(1)))
    until(lambda: judged(pipeline) == 1)
    assert api.headers[0]["authorization"] == "Bearer sk-from-outside"
    assert "the LLM judge is off" not in pipeline.log()
    assert pipeline.stop() == 0


def test_a_model_without_a_price_is_refused_with_what_to_do(start: Start) -> None:
    with pytest.raises(RuntimeError, match="no price is known for the judge's model 'my-own'"):
        start(*judged_by("http://127.0.0.1:1", "models=[my-own]"))
