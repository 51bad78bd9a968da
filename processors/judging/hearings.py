"""Takes a case as far as it goes: exhibit, one model after another, money for each, what each answered.

Nothing here calls the API: a case that may be called is left `GRANTED`; one that was comes back with the outcome.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from processors.judging.answers import VoidAnswerError, opinion_of
from processors.judging.calls import LONGEST_BATCH_SECONDS, LOST, REFUSED, SUBMITTED, Breaker, Outcome
from processors.judging.cases import ASKED, BATCHED, CALLING, GRANTED, LOOKING, Case, Docket
from processors.judging.config import JudgeConfig
from processors.judging.exhibit import Exhibit, exhibit_of, missing_evidence
from processors.judging.money import asking, billing, settling
from processors.judging.prices import JudgePrices
from processors.judging.prompts import request_of
from processors.judging.rulings import UNSURE, ruling_of
from processors.judging.sentences import Sentences
from processors.judging.sitting import Sitting
from processors.judging.transcripts import Transcripts
from schemas.judge import MICRO, Grant
from schemas.metrics import JUDGE_CALLS, JUDGE_COST, JUDGE_DISCARDED, JUDGE_REMEMBERED
from schemas.step import Usage

SECOND_NS = 1_000_000_000
PATIENCE_NS = 3 * SECOND_NS
"""How long steps are waited for that a finding names and that have not come: another topic may be behind."""
MOST_LOST = 2
"""Calls of one case whose answers may be lost before it is given up."""
GIVEN_UP = {LOOKING: "unavailable", ASKED: "no_grant", GRANTED: "busy", BATCHED: "lost"}
"""Why a case has waited too long, by what it was at."""


class Hearings:
    """All cases' way through the models. `is_called` says whether a reservation's call is under way or has ended."""

    def __init__(
        self,
        config: JudgeConfig,
        prices: JudgePrices,
        docket: Docket,
        transcripts: Transcripts,
        sentences: Sentences,
        is_called: Callable[[str], bool],
    ) -> None:
        self._config = config
        self._prices = prices
        self._docket = docket
        self._transcripts = transcripts
        self._sentences = sentences
        self._is_called = is_called
        self._breaker = Breaker()

    def go_on(self, case: Case, outcome: Outcome | None, sitting: Sitting) -> None:
        """Take a case a step further, with the outcome of its call if it has one.

        A case that cannot be handled is given up by itself: it must not hold up all others for good.
        """
        try:
            if outcome is not None:
                self._take(case, outcome, sitting)
            else:
                self._advance(case, sitting)
        except (OSError, MemoryError, sqlite3.Error):
            raise  # the world around is at fault, and comes right
        except Exception as error:  # noqa: BLE001  # counted by its name, and told with the finding
            sitting.outputs.append(settling(case, case.held if case.phase in (CALLING, BATCHED) else 0))
            self._conclude(case, sitting, f"failed_{type(error).__name__}")

    def _advance(self, case: Case, sitting: Sitting) -> None:
        """Look after a case that nothing came for, or give it up when it has waited too long."""
        if case.phase == CALLING:
            if not self._is_called(case.reservation):
                sitting.outputs.append(settling(case, case.held))
                self._lose(case, sitting)
        elif sitting.now_ns - case.since_ns > self._longest_wait_ns(case):
            if case.phase != LOOKING:
                sitting.outputs.append(settling(case, case.held if case.phase == BATCHED else 0))
            self._conclude(case, sitting, GIVEN_UP[case.phase])
        elif case.phase == LOOKING:
            self._look(case, sitting)

    def granted(self, grant: Grant, sitting: Sitting) -> None:
        """Hear that there is money for a call, or that there is none."""
        case = self._docket.cases.get(grant.case)
        if case is None or case.phase != ASKED or case.reservation != grant.id:
            return  # given up meanwhile, and given back
        if grant.spent:
            self._conclude(case, sitting, f"budget_{grant.spent}")
        else:
            case.phase = GRANTED
            self._docket.put(case)

    def _take(self, case: Case, outcome: Outcome, sitting: Sitting) -> None:
        """Settle what a call cost, and go on by what it brought."""
        model = self._config.models[case.model]
        JUDGE_CALLS.labels(model=model, outcome=outcome.kind).inc()
        self._breaker.saw(outcome)
        if outcome.kind == SUBMITTED:
            case.phase, case.batch = BATCHED, outcome.detail
            self._docket.put(case)
            return
        if outcome.usage is not None:
            self._pay(case, model, outcome.usage, sitting)
            self._hear(case, model, outcome, sitting)
            return
        sitting.outputs.append(settling(case, case.held if outcome.kind == LOST else 0))
        if outcome.kind == LOST:
            self._lose(case, sitting)
        elif outcome.kind == REFUSED:
            self._conclude(case, sitting, f"refused_{outcome.detail}")
        else:
            self._go_on(case)

    def request(self, case: Case) -> dict[str, Any]:
        """Build the request that a case's present model is asked with."""
        config = self._config
        return request_of(_shown(case), config.models[case.model], config.max_output_tokens, config.effort)

    def _longest_wait_ns(self, case: Case) -> float:
        return (self._config.max_wait_seconds if case.is_urgent else LONGEST_BATCH_SECONDS) * SECOND_NS

    def _look(self, case: Case, sitting: Sitting) -> None:
        """Choose the exhibit, once its steps are there."""
        if case.exhibit is None and not self._choose(case, sitting):
            return
        while case.model < len(self._config.models):
            opinion = self._docket.opinion(case, self._config.models[case.model], sitting.state)
            if opinion is None:
                if self._breaker.lets_through():
                    self._reserve(case, sitting)
                return
            JUDGE_REMEMBERED.inc()
            case.opinion = opinion
            if ruling_of(opinion.failure) != UNSURE:
                break
            case.model += 1
        self._conclude(case, sitting)

    def _choose(self, case: Case, sitting: Sitting) -> bool:
        """Choose what is shown; returns whether the case goes on with it now."""
        document = case.told()
        steps = self._transcripts.steps(case.run_key)
        if missing_evidence(document, steps) and sitting.now_ns - case.since_ns < PATIENCE_NS:
            return False
        case.exhibit = exhibit_of(document, steps, self._config.window_tokens)
        self._docket.put(case)
        if case.exhibit is None:
            self._conclude(case, sitting, "no_window")
        elif self._sentences.has_ruled(case, sitting.state):
            self._docket.drop(case)
        else:
            return True
        return False

    def _reserve(self, case: Case, sitting: Sitting) -> None:
        case.phase, case.asked = ASKED, case.asked + 1
        case.held = self._prices.at_most(self.request(case), case.counted, sitting.now_ns)
        sitting.outputs.append(asking(case))
        self._docket.put(case)

    def _pay(self, case: Case, model: str, usage: Usage, sitting: Sitting) -> None:
        micro_usd = self._prices.cost(model, usage, sitting.now_ns, batched=bool(case.batch))
        JUDGE_COST.labels(model=model).inc(micro_usd / MICRO)
        sitting.outputs.append(settling(case, micro_usd))
        sitting.outputs.append(billing(case, model, usage, micro_usd, sitting.now_ns))
        case.spent += micro_usd
        case.counted = usage.input

    def _hear(self, case: Case, model: str, outcome: Outcome, sitting: Sitting) -> None:
        """Weigh an answer that counts; one that does not is passed over for the next model's."""
        try:
            opinion = opinion_of(model, outcome.stop_reason, outcome.content, _shown(case))
        except VoidAnswerError as void:
            JUDGE_DISCARDED.labels(reason=void.kind).inc()
        else:
            case.opinion = opinion
            self._docket.remember(case, opinion, sitting.state, sitting.now_ns)
            if ruling_of(opinion.failure) != UNSURE:
                self._conclude(case, sitting)
                return
        case.model += 1
        self._go_on(case)

    def _lose(self, case: Case, sitting: Sitting) -> None:
        case.lost += 1
        if case.lost >= MOST_LOST:
            self._conclude(case, sitting, "lost")
        else:
            self._go_on(case)

    def _go_on(self, case: Case) -> None:
        case.phase, case.batch = LOOKING, ""
        self._docket.put(case)

    def _conclude(self, case: Case, sitting: Sitting, why: str = "") -> None:
        sitting.outputs.extend(self._sentences.conclude(case, sitting.state, sitting.now_ns, why))


def _shown(case: Case) -> Exhibit:
    if case.exhibit is None:
        raise ValueError(f"case {case.key} is called before its exhibit was chosen")
    return case.exhibit
