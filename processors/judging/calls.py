"""The Messages API and its batches: repeated where that is free, and stopped where it is no use.

What an error says about money decides what happens: an answer with an error status is not billed and may be asked for
again under the same reservation; a request whose answer never came may have been billed, so it is lost and its money
counts as spent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from schemas.metrics import JUDGE_RETRIES
from schemas.step import Usage

if TYPE_CHECKING:
    from anthropic import Anthropic, APIConnectionError, APIStatusError

    from processors.judging.config import JudgeConfig

ANSWERED, SUBMITTED, UNAVAILABLE, REFUSED, LOST = "answered", "submitted", "unavailable", "refused", "lost"
UNBILLED_AND_PASSING = frozenset({409, 425, 429, 500, 502, 503, 529})
PERHAPS_BILLED = frozenset({408, 504, 520, 522, 524})
TRIES = 4
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 20.0
FAILURES_TO_OPEN = 3
OPEN_SECONDS = 30.0
LONGEST_BATCH_SECONDS = 26 * 3_600.0
"""The API ends a batch within a day."""


class Outcome(NamedTuple):
    """How a call ended. `content` are the reply's blocks as JSON values; `usage` is None where nothing was counted."""

    kind: str
    usage: Usage | None = None
    stop_reason: str | None = None
    content: Sequence[Any] = ()
    detail: str = ""


class Breaker:
    """Stops calling an API that does not answer, and lets one call through now and then to see whether it does."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._opens_at = 0.0

    def lets_through(self) -> bool:
        """Say whether a call may be made now; while it is open, one a period may."""
        if self._failures < FAILURES_TO_OPEN:
            return True
        if self._clock() < self._opens_at:
            return False
        self._opens_at = self._clock() + OPEN_SECONDS
        return True

    def saw(self, outcome: Outcome) -> None:
        """Learn from how a call ended; a key that is refused counts as an API that is away."""
        if outcome.kind in (ANSWERED, SUBMITTED):
            self._failures = 0
            return
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN:
            self._opens_at = self._clock() + OPEN_SECONDS


class MessagesApi:
    """The API as the `anthropic` package speaks it; honours ANTHROPIC_BASE_URL. Used by many threads."""

    def __init__(self, config: JudgeConfig, sleep: Callable[[float], None] = time.sleep) -> None:
        from anthropic import Anthropic

        self._client: Anthropic = Anthropic(
            api_key=config.key(),
            base_url=config.base_url or None,
            timeout=config.timeout_seconds,
            max_retries=0,  # the package also repeats what may have been billed
        )
        self._sleep = sleep

    def call(self, request: dict[str, Any]) -> Outcome:
        """Send a request, and again where an error is free and passing; never raises."""
        return self._tried(lambda: _answered(self._client.messages.create(**request).to_dict()))

    def submit(self, requests: Mapping[str, dict[str, Any]]) -> Outcome:
        """Hand in a batch, each request under its name; never raises."""
        given = [{"custom_id": name, "params": request} for name, request in requests.items()]
        batches: Any = self._client.messages.batches  # it wants each request by its own type, which ours are by form
        return self._tried(lambda: Outcome(SUBMITTED, detail=batches.create(requests=given).id))

    def results(self, batch: str, poll_seconds: float) -> Iterator[tuple[str, Outcome]]:
        """Wait until a batch has ended, and give the outcome of each request by its name; never raises."""
        for _ in range(int(LONGEST_BATCH_SECONDS / poll_seconds) + 1):
            try:
                if self._client.messages.batches.retrieve(batch).processing_status == "ended":
                    lines = self._client.messages.batches.results(batch)
                    found: list[dict[str, Any]] = [line.to_dict() for line in lines]
                    yield from ((str(one["custom_id"]), _batched(one["result"])) for one in found)
                    return
            except Exception:  # noqa: BLE001  # looking again costs nothing, whatever went wrong
                JUDGE_RETRIES.labels(reason="batch").inc()
            self._sleep(poll_seconds)

    def _tried(self, work: Callable[[], Outcome]) -> Outcome:
        outcome = Outcome(LOST)
        for number in range(TRIES):
            outcome, pause = _once(work, FIRST_PAUSE_SECONDS * 2**number)
            if outcome.kind != UNAVAILABLE or pause > LONGEST_PAUSE_SECONDS or number == TRIES - 1:
                break
            JUDGE_RETRIES.labels(reason=outcome.detail).inc()
            self._sleep(pause)
        return outcome


def _once(work: Callable[[], Outcome], pause: float) -> tuple[Outcome, float]:
    """Try once; also says how long to wait before the next time."""
    from anthropic import APIConnectionError, APIStatusError

    try:
        return work(), 0.0
    except APIStatusError as error:
        return _by_status(error), max(pause, _retry_after(error))
    except APIConnectionError as error:
        return _by_connection(error), pause
    except Exception as error:  # noqa: BLE001  # a reply that cannot be read: it came, so it was billed
        return Outcome(LOST, detail=type(error).__name__), 0.0


def _answered(reply: dict[str, Any]) -> Outcome:
    usage = _usage(reply.get("usage"))
    content = reply.get("content")
    blocks = content if isinstance(content, list) else []
    return Outcome(ANSWERED if usage else LOST, usage, reply.get("stop_reason"), blocks, "" if usage else "no usage")


def _batched(result: dict[str, Any]) -> Outcome:
    """Read one result of a batch; only those that succeeded are billed."""
    if result.get("type") == "succeeded":
        return _answered(result["message"])
    kind = ((result.get("error") or {}).get("error") or {}).get("type", "")
    return Outcome(REFUSED if kind == "invalid_request_error" else UNAVAILABLE, detail=kind or str(result.get("type")))


def _usage(counted: Any) -> Usage | None:
    """Read the tokens; the API counts cached input apart, our conventions within."""
    if not isinstance(counted, dict):
        return None
    fields = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    fresh, output, read, written = (counted.get(field) or 0 for field in fields)
    if not all(isinstance(count, int) and count >= 0 for count in (fresh, output, read, written)):
        return None
    return Usage(fresh + read + written, output, read, written) if fresh + read + written else None


def _by_status(error: APIStatusError) -> Outcome:
    if error.status_code in UNBILLED_AND_PASSING:
        return Outcome(UNAVAILABLE, detail=str(error.status_code))
    kind = LOST if error.status_code in PERHAPS_BILLED or error.status_code < 400 else REFUSED
    return Outcome(kind, detail=str(error.status_code))


def _by_connection(error: APIConnectionError) -> Outcome:
    """Tell a request that was never sent from one whose answer never came."""
    import httpx2

    cause = error.__cause__
    unsent = isinstance(cause, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError))
    return Outcome(UNAVAILABLE if unsent else LOST, detail=type(cause or error).__name__)


def _retry_after(error: APIStatusError) -> float:
    """Read how long the API asks to wait, in seconds."""
    try:
        return max(0.0, float(error.response.headers.get("retry-after", "0")))
    except ValueError:
        return 0.0
