"""Calls repeated after failing."""

from __future__ import annotations

import pytest
from small_runs import Scribe, ref, reports

from processors.detector import AnyDetector
from processors.retry_storm import RetryStormConfig, RetryStormDetector
from processors.spending.model_catalogue import PricedModels
from schemas.detection import CLOSED, OPEN

DOWN = "HTTP 503 Service Unavailable"


def detector() -> AnyDetector:
    return RetryStormDetector(RetryStormConfig(), PricedModels())


def attempts(count: int, error: str = DOWN, wait: float = 0.1, growth: float = 1.0, arguments: str = "a") -> Scribe:
    run = Scribe()
    for _ in range(count):
        run.tool("fetch", error=error, arguments=arguments)
        run.wait(wait)
        wait *= growth
    return run


def test_the_fourth_failure_of_the_same_call_is_a_storm() -> None:
    run = attempts(4)
    (finding,) = reports(detector(), run.steps)
    assert (finding.type, finding.status, finding.evidence["failures"]) == ("retry_storm", OPEN, 4)
    assert (finding.spans[0], finding.spans[-1]) == (ref(run.steps[0]), ref(run.steps[3]))
    assert finding.fix is not None
    assert finding.fix.fix_type == "circuit_breaker"


def test_three_failures_are_what_clients_do_by_themselves() -> None:
    assert reports(detector(), attempts(3).steps) == []


@pytest.mark.parametrize("growth", [1.5, 2.0])
def test_waits_that_grow_are_no_storm_until_there_are_many(growth: float) -> None:
    assert reports(detector(), attempts(7, growth=growth).steps) == []
    assert len(reports(detector(), attempts(10, growth=growth).steps)) == 1


def test_waiting_long_each_time_is_patience() -> None:
    assert reports(detector(), attempts(8, wait=60).steps) == []


def test_backing_off_and_then_succeeding_is_nothing() -> None:
    run = attempts(4, growth=2.0)
    run.tool("fetch")
    assert reports(detector(), run.steps) == []


def test_success_closes_the_storm() -> None:
    run = attempts(5)
    run.tool("fetch")
    opened, closed = reports(detector(), run.steps)
    assert (closed.status, closed.first, closed.evidence["recovered"]) == (CLOSED, opened.first, True)
    assert closed.spans[-1] == opened.spans[-1]


def test_other_arguments_are_another_attempt() -> None:
    run = Scribe()
    for number in range(8):
        run.tool("fetch", error=DOWN, arguments=str(number))
    assert reports(detector(), run.steps) == []


def test_work_between_attempts_makes_them_new_ones() -> None:
    run = Scribe()
    for number in range(8):
        run.tool("run_tests", error="exit status 1")
        run.tool("edit_file", arguments=str(number))
    assert reports(detector(), run.steps) == []


def test_without_arguments_it_takes_longer_and_is_less_sure() -> None:
    assert reports(detector(), attempts(5, arguments="").steps) == []
    (finding,) = reports(detector(), attempts(6, arguments="").steps)
    assert finding.confidence < 0.8


def test_a_refused_retry_is_never_worth_repeating() -> None:
    (finding,) = reports(detector(), attempts(4, error="401 unauthorized").steps)
    assert finding.fix is not None
    assert finding.fix.fix_type == "retry_limit"
    assert "cannot succeed" in finding.explanation


def test_a_model_that_is_asked_again_and_again_is_a_storm_too() -> None:
    run = Scribe()
    for _ in range(4):
        run.llm(error="Rate limit reached", error_type="RateLimitError")
    (finding,) = reports(detector(), run.steps)
    assert finding.evidence["model"] == "gpt-4o"
    assert finding.fix is not None
    assert finding.fix.fix_type == "exponential_backoff"


def test_a_storm_is_told_again_when_it_doubles() -> None:
    assert [finding.stage for finding in reports(detector(), attempts(40).steps)] == [1, 2, 3, 4]
