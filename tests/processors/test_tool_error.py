"""Tools that fail, by cause."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import Scribe, ref, reports

from processors import error_causes as causes
from processors.detector import AnyDetector
from processors.spending.model_catalogue import PricedModels
from processors.tool_error import ToolErrorConfig, ToolErrorDetector
from schemas.detection import CLOSED, OPEN
from schemas.step import RETRIEVAL


def detector() -> AnyDetector:
    return ToolErrorDetector(ToolErrorConfig(), PricedModels())


def test_the_first_failure_is_told_at_once() -> None:
    run = Scribe()
    run.tool("book", error="TimeoutError: no answer after 30 s")
    (finding,) = reports(detector(), run.steps)
    assert (finding.status, finding.severity, finding.evidence["cause"]) == (OPEN, "low", "timeout")
    assert finding.spans == (ref(run.steps[0]),)
    assert finding.confidence >= 0.8


def test_repetitions_raise_the_stage_of_the_same_episode() -> None:
    run = Scribe()
    for _ in range(12):
        run.tool("book", error="HTTP 503 Service Unavailable")
    found = reports(detector(), run.steps)
    assert [(finding.stage, finding.severity) for finding in found] == [(0, "low"), (1, "medium"), (2, "high")]
    assert len({(finding.fingerprint, finding.first) for finding in found}) == 1


def test_a_success_of_the_tool_closes_all_its_causes() -> None:
    run = Scribe()
    run.tool("book", error="connection refused")
    run.tool("book", error="401 unauthorized")
    run.tool("search")
    run.tool("book")
    found = reports(detector(), run.steps)
    assert [finding.status for finding in found] == [OPEN, OPEN, CLOSED, CLOSED]
    assert all(finding.evidence["recovered"] for finding in found[2:])


def test_each_cause_is_an_episode_of_its_own() -> None:
    run = Scribe()
    run.tool("book", error="connection refused")
    run.tool("book", error="permission denied")
    assert {finding.fingerprint for finding in reports(detector(), run.steps)} == {"book/network", "book/permission"}


def test_a_retrieval_that_fails_is_a_tool_that_fails() -> None:
    run = Scribe()
    run.add(RETRIEVAL, name="vector_store", error="index does not exist")
    (finding,) = reports(detector(), run.steps)
    assert finding.evidence["tool"] == "vector_store"


def test_a_model_that_refuses_is_no_tool_error() -> None:
    run = Scribe()
    run.llm(error="429 Too Many Requests", error_type="RateLimitError")
    assert reports(detector(), run.steps) == []


@pytest.mark.parametrize("kind", ["GraphInterrupt", "langgraph.errors.ParentCommand", "asyncio.CancelledError"])
def test_frameworks_that_steer_by_exceptions_do_not_fail(kind: str) -> None:
    run = Scribe()
    run.tool("ask_person", error=f"{kind}: waiting", error_type=kind)
    assert reports(detector(), run.steps) == []


def test_no_more_episodes_are_open_than_the_state_may_hold() -> None:
    run = Scribe()
    for number in range(200):
        run.tool(f"tool-{number}", error="boom")
    found = reports(detector(), run.steps)
    assert sum(finding.status == OPEN for finding in found) == 200
    assert sum(finding.status == CLOSED for finding in found) == 200 - 32


@pytest.mark.parametrize(
    ("error_type", "error", "cause"),
    [
        ("TimeoutError", "", causes.TIMEOUT),
        ("<class 'openai.RateLimitError'>", "", causes.RATE_LIMIT),
        ("429", "", causes.RATE_LIMIT),
        ("tool_error", "Request failed with status code 404", causes.NOT_FOUND),
        ("", "Client error '403 Forbidden' for url", causes.PERMISSION),
        ("httpx.ConnectTimeout", "timed out", causes.TIMEOUT),
        ("ValueError", "Channel does not exist!", causes.NOT_FOUND),
        ("", "ValidationError: 1 validation error for Input", causes.INVALID_ARGUMENTS),
        ("", "f() got an unexpected keyword argument 'x'", causes.INVALID_ARGUMENTS),
        ("ConnectionRefusedError", "[Errno 111]", causes.NETWORK),
        ("", "HTTP 500: internal server error", causes.SERVER),
        ("", "Invalid API key provided", causes.AUTH),
        ("", "MCP error -32602: bad", causes.INVALID_ARGUMENTS),
        ("", "payment amount does not add up, total is 404", causes.UNKNOWN),
        ("", "", causes.UNKNOWN),
    ],
)
def test_causes_are_read_from_class_status_and_words(error_type: str, error: str, cause: str) -> None:
    assert causes.cause_of(error_type, error) == cause


@given(st.text(max_size=300), st.text(max_size=2_000))
def test_any_text_has_a_cause(error_type: str, error: str) -> None:
    assert causes.cause_of(error_type, error)
