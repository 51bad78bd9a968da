"""Calls of the Messages API: each in a thread of its own, repeated where that is free, and stopped where it is no use.

What an error says about money decides what happens: an answer with an error status is not billed and may be asked for
again under the same reservation; a request whose answer never came may have been billed, so it is lost and its money
counts as spent.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from schemas.metrics import JUDGE_RETRIES
from schemas.step import Usage

if TYPE_CHECKING:
    from anthropic import Anthropic, APIConnectionError, APIStatusError

    from processors.judge_config import JudgeConfig

ANSWERED, UNAVAILABLE, REFUSED, LOST = "answered", "unavailable", "refused", "lost"
UNBILLED_AND_PASSING = frozenset({409, 425, 429, 500, 502, 503, 529})
PERHAPS_BILLED = frozenset({408, 504, 520, 522, 524})
TRIES = 4
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 20.0
FAILURES_TO_OPEN = 3
OPEN_SECONDS = 30.0


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
        if outcome.kind == ANSWERED:
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
        outcome = Outcome(LOST)
        for number in range(TRIES):
            outcome, pause = self._once(request, FIRST_PAUSE_SECONDS * 2**number)
            if outcome.kind != UNAVAILABLE or pause > LONGEST_PAUSE_SECONDS or number == TRIES - 1:
                break
            JUDGE_RETRIES.labels(reason=outcome.detail).inc()
            self._sleep(pause)
        return outcome

    def _once(self, request: dict[str, Any], pause: float) -> tuple[Outcome, float]:
        """Try once; also says how long to wait before the next time."""
        from anthropic import APIConnectionError, APIStatusError

        try:
            reply = self._client.messages.create(**request)
            return _answered(reply.to_dict()), 0.0
        except APIStatusError as error:
            return _by_status(error), max(pause, _retry_after(error))
        except APIConnectionError as error:
            return _by_connection(error), pause
        except Exception as error:  # noqa: BLE001  # a reply that cannot be read: it came, so it was billed
            return Outcome(LOST, detail=type(error).__name__), 0.0


class Calls:
    """Calls under way, each in a thread that dies with the process, by the name they were started under.

    Threads put what came into a queue; all else belongs to the thread of the stage.
    """

    def __init__(self, api: MessagesApi) -> None:
        self._api = api
        self._done: queue.SimpleQueue[tuple[str, Outcome]] = queue.SimpleQueue()
        self._under_way: set[str] = set()
        self._ended: dict[str, Outcome] = {}

    def start(self, name: str, request: dict[str, Any]) -> None:
        """Begin a call."""
        self._under_way.add(name)
        threading.Thread(target=self._run, args=(name, request), name=f"judge-{name}", daemon=True).start()

    def ended(self) -> Mapping[str, Outcome]:
        """Give the calls that ended and are not forgotten: the end of one is not yet committed."""
        while not self._done.empty():
            name, outcome = self._done.get()
            self._under_way.discard(name)
            self._ended[name] = outcome
        return self._ended

    def under_way(self) -> int:
        """Count the calls that have not ended."""
        return len(self._under_way)

    def knows(self, name: str) -> bool:
        """Say whether a call is under way, or has ended and is not forgotten."""
        return name in self._under_way or name in self._ended

    def forget(self, name: str) -> None:
        """Let a call go whose end is committed."""
        self._ended.pop(name, None)

    def any_left(self) -> bool:
        """Say whether there is a call that is not forgotten."""
        return bool(self._under_way or self._ended)

    def _run(self, name: str, request: dict[str, Any]) -> None:
        self._done.put((name, self._api.call(request)))


def _answered(reply: dict[str, Any]) -> Outcome:
    usage = _usage(reply.get("usage"))
    content = reply.get("content")
    blocks = content if isinstance(content, list) else []
    return Outcome(ANSWERED if usage else LOST, usage, reply.get("stop_reason"), blocks, "" if usage else "no usage")


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
