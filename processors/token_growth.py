"""Whether the tokens of one agent's calls grow faster than the run explains.

What a run explains: its first input, the answers since, the results its tools brought back. A history that piles up is
explained, and so is a large file that was read. A call is out of line when it is far beyond its stream's
earlier calls and beyond what the run explains as well; or when inputs keep multiplying.
Where what comes in from outside is not captured a jump says nothing, so only inputs that multiply for long count.
"""

from __future__ import annotations

from math import log
from statistics import fmean, pstdev

import msgspec

from schemas.step import SpanRef

OUTPUT_WEIGHT = 4
"""An output token counts as so many input tokens, roughly what providers charge."""
RECENT_CALLS = 16
CALLS_TO_LEARN = 2
SPIKE_OVER_MEDIAN = 4.0
SPIKE_OVER_PEAK = 2.5
SPIKE_TOKENS = 5_000
"""A spike smaller than this (weighted) is not worth a word."""
ANSWERS_TO_LEARN = 4
ANSWER_DEVIATIONS = 6.0
"""A long answer is out of line only by so many deviations (of logarithms): agents that write files vary a lot."""
LEAST_DEVIATION = 0.25
LONG_ANSWER_TOKENS = 4_000
"""A report or a file of this length is nothing unusual, however short the answers before it."""
RISE = 1.3
RISE_OF_INCREASE = 1.15
"""A call continues a rise when its input is so many times the last one's, and by so much more than that one was longer.
A history that grows by the same amount each time multiplies at first, too; its increases do not."""
RISE_CALLS = 3
RISE_OVER_START = 2.5
BLIND_RISE_CALLS = 5
BLIND_RISE_OVER_START = 8.0
EXPLAINED_SLACK = 1.5
EXPLAINED_SLACK_TOKENS = 1_000
CALM = 2.0
"""An episode ends with a call at most so many times the stream's usual one."""


class Explained(msgspec.Struct, array_like=True):
    """What the run has brought forth so far that calls may rightly contain, in tokens."""

    tokens: int = 0
    asked: int = 0
    answered: int = 0
    seen: bool = False
    unseen: bool = False

    @property
    def sighted(self) -> bool:
        """Whether what comes into the run from outside shows in its steps, all of it."""
        return self.seen and not self.unseen and self.answered >= self.asked


class Growth(msgspec.Struct, array_like=True):
    """An episode of growth: where it began, the call that showed it, how large the calls became, and when last told."""

    first: SpanRef
    crossing: SpanRef
    crossed_ns: int
    multiplying: bool
    sighted: bool
    usual: int
    largest: int
    explained: int
    largest_input: int
    largest_output: int
    told: int
    calls: int = 1
    doublings: int = 0


class CallStream(msgspec.Struct, array_like=True):
    """The calls of one agent to one model. `base` is the input of the first."""

    model: str
    base: int
    recent: list[int] = []
    answers: list[int] = []
    peak: int = 0
    last_input: int = 0
    rising: int = 0
    increase: int = 0
    rise_start: int = 0
    rise_first: SpanRef | None = None
    growth: Growth | None = None


class Call(msgspec.Struct, array_like=True, gc=False):
    """A call as it is judged. `weight` is its size in input tokens, output weighted."""

    span: SpanRef
    at_ns: int
    input: int
    output: int
    weight: int = 0

    def __post_init__(self) -> None:
        """Weigh it."""
        self.weight = self.input + OUTPUT_WEIGHT * self.output


def take_call(stream: CallStream, call: Call, explained: Explained) -> tuple[Growth | None, bool]:
    """Take a stream's next call in. Returns the episode that began, grew or ended with it, and whether it ended."""
    if stream.growth is not None:
        return _continue(stream, stream.growth, call)
    _follow_rise(stream, call)
    growth = _judged(stream, call, explained)
    if growth is None:
        _learn(stream, call)
    stream.growth = growth
    stream.last_input = call.input
    return growth, False


def _judged(stream: CallStream, call: Call, explained: Explained) -> Growth | None:
    may_rise, may_spike = stream.rising >= RISE_CALLS, call.weight - stream.peak >= SPIKE_TOKENS
    if not (may_rise or may_spike) or len(stream.recent) < CALLS_TO_LEARN:
        return None
    limit = int((stream.base + explained.tokens) * EXPLAINED_SLACK) + EXPLAINED_SLACK_TOKENS
    if _multiplies(stream, call, limit, explained.sighted):
        return _growth(stream, call, explained, limit, multiplying=True)
    if explained.sighted and _spikes(stream, call, limit):
        return _growth(stream, call, explained, limit, multiplying=False)
    return None


def _spikes(stream: CallStream, call: Call, limit: int) -> bool:
    weight = call.weight
    is_large = (
        weight - stream.peak >= SPIKE_TOKENS
        and weight >= SPIKE_OVER_PEAK * stream.peak
        and weight >= SPIKE_OVER_MEDIAN * _usual(stream)
        and weight >= limit + OUTPUT_WEIGHT * EXPLAINED_SLACK * max(stream.answers)
    )
    return is_large and (call.input >= limit or _answer_is_out_of_line(stream, call))


def _answer_is_out_of_line(stream: CallStream, call: Call) -> bool:
    if len(stream.answers) < ANSWERS_TO_LEARN or call.output < LONG_ANSWER_TOKENS:
        return False
    logs = [log(answer + 1) for answer in stream.answers]
    return log(call.output + 1) - fmean(logs) >= ANSWER_DEVIATIONS * max(LEAST_DEVIATION, pstdev(logs))


def _multiplies(stream: CallStream, call: Call, limit: int, sighted: bool) -> bool:
    calls, over_start = (RISE_CALLS, RISE_OVER_START) if sighted else (BLIND_RISE_CALLS, BLIND_RISE_OVER_START)
    return (
        stream.rising >= calls
        and call.input >= over_start * stream.rise_start
        and call.input - stream.rise_start >= SPIKE_TOKENS / 2
        and (call.input >= limit or not sighted)
    )


def _follow_rise(stream: CallStream, call: Call) -> None:
    increase = call.input - stream.last_input
    if not stream.last_input or call.input < RISE * stream.last_input:
        stream.rising = 0
    elif stream.rising and increase >= RISE_OF_INCREASE * stream.increase:
        stream.rising += 1
    else:
        stream.rising, stream.rise_start, stream.rise_first = 1, stream.last_input, call.span
    stream.increase = increase


def _growth(stream: CallStream, call: Call, explained: Explained, limit: int, *, multiplying: bool) -> Growth:
    first = (stream.rise_first if multiplying else None) or call.span
    return Growth(
        first=first,
        crossing=call.span,
        crossed_ns=call.at_ns,
        multiplying=multiplying,
        sighted=explained.sighted,
        usual=_usual(stream),
        largest=call.weight,
        explained=limit,
        largest_input=call.input,
        largest_output=call.output,
        told=call.weight,
    )


def _continue(stream: CallStream, growth: Growth, call: Call) -> tuple[Growth | None, bool]:
    if call.weight <= CALM * max(growth.usual, stream.base):
        stream.growth, stream.last_input = None, call.input
        _follow_rise(stream, call)
        _learn(stream, call)
        return growth, True
    growth.calls += 1
    growth.largest_input = max(growth.largest_input, call.input)
    growth.largest_output = max(growth.largest_output, call.output)
    growth.largest = max(growth.largest, call.weight)
    if call.weight >= 2 * growth.told:
        growth.told, growth.doublings = call.weight, growth.doublings + 1
        return growth, False
    return None, False


def _learn(stream: CallStream, call: Call) -> None:
    stream.recent.append(call.weight)
    stream.answers.append(call.output)
    if len(stream.recent) > RECENT_CALLS:
        del stream.recent[0], stream.answers[0]
    stream.peak = max(stream.peak, call.weight)


def _usual(stream: CallStream) -> int:
    return max(1, sorted(stream.recent)[len(stream.recent) // 2])
