"""Actions: what the loop detector remembers of a step, hashes instead of texts."""

from __future__ import annotations

from typing import Final

import msgspec
import xxhash

from processors.loops.arguments import read_arguments
from processors.loops.masking import masked
from processors.loops.outcomes import fault_of, tells
from processors.loops.wording import brings_nothing, pack
from schemas.step import AGENT, HANDOFF, LLM, MEMORY, RETRIEVAL, TEXT_CAP, TOOL, Step, ToolCall

PREVIEW_CAP = 32
"""Characters of the arguments or the message that are kept to show what repeats."""
NAME_CAP = 64
_TOLD_CAP = 512
"""Characters of a model's input that are looked at, from its end: what it was told last."""
_ACTING = (TOOL, RETRIEVAL, MEMORY)
ACTIVE = (*_ACTING, LLM, HANDOFF, AGENT)
"""Kinds of steps that can be an action."""


class Sort:
    """Where an action belongs."""

    TOOL: Final = 0
    ASK: Final = 1
    """A model's output that asks for tool calls: the action itself where no tool spans show it."""
    TALK: Final = 2
    """A model's output, or a word passed from agent to agent."""
    TURN: Final = 3
    """An agent's turn, told by its output or state: the action where no model's output is seen."""
    SILENT: Final = 4
    """A model call without content: only its tokens tell."""


class Mark:
    """What else is known of an action; one bit each."""

    FAILED: Final = 1
    NO_RESULT: Final = 2
    BLIND: Final = 4
    """What it was asked was not captured."""
    BARREN: Final = 8
    """The result says that there is nothing."""
    TELLS: Final = 16
    """The result is long enough to tell more than that something was done."""


class Action(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One action. `exact` and `near` fingerprint what was done and what came of it, as it is and masked.

    `heard` fingerprints, masked, what came back: of a tool its result, of a model what it was told before.
    `answer` is the newest result of a tool that a model was told, for the call that asked for it; of a model's action
    `marks` and `fault` are that result's. `fault` fingerprints the kind of fault that a result reads as, 0 for none.
    `words` is the wording of what was asked or said, `tokens` the model call's input and output.
    """

    sort: int
    exact: int
    near: int
    marks: int = 0
    heard: int = 0
    name: str = ""
    preview: str = ""
    words: bytes = b""
    input_tokens: int = 0
    output_tokens: int = 0
    answer: int = 0
    fault: int = 0


def action_of(step: Step) -> Action | None:
    """Reduce a step to an action; None for steps that are none."""
    kind = step.kind
    if kind in _ACTING:
        return _tool_action(step)
    if kind == LLM:
        return _model_action(step)
    if kind == HANDOFF:
        return _handoff(step)
    return _turn(step) if kind == AGENT else None


def fingerprint(text: str) -> int:
    """Fingerprint a text in 32 bits: enough to compare neighbours, small enough to keep many."""
    return xxhash.xxh32_intdigest(text.encode("utf-8", "replace"))


def joined(one: int, other: int) -> int:
    """Fingerprint two fingerprints."""
    return xxhash.xxh32_intdigest(one.to_bytes(4, "little") + other.to_bytes(4, "little"))


def _tool_action(step: Step) -> Action:
    if step.transfer_to:
        return _handoff(step)
    name = (step.tool or step.name)[:NAME_CAP]
    asked, asked_hash = (step.args, step.args_hash) if step.args_hash else (step.input_text, step.input_hash)
    outcome = step.result or step.error or step.error_type
    heard = _heard(outcome, step.result_hash if len(outcome) >= TEXT_CAP else "")
    marks = Mark.FAILED if step.failed else 0
    fault = _fault(outcome)
    marks |= _marks_of(outcome) if outcome or step.result_hash else Mark.NO_RESULT
    if not asked_hash and not asked:
        shape = fingerprint(f"{name}\n{step.args_size}\n{step.result_size}\n{heard}")
        return Action(Sort.TOOL, shape, shape, marks | Mark.BLIND, heard, name, fault=fault)
    exact = fingerprint(f"{name}\n{asked_hash or asked}\n{step.result_hash}\n{step.error}\n{step.error_type}")
    arguments = read_arguments(asked)
    kept = arguments.masked(outcome) if arguments.is_whole else asked_hash
    near = joined(fingerprint(f"{name}\n{kept}"), heard)
    words = pack(arguments.sayings)
    return Action(Sort.TOOL, exact, near, marks, heard, name, asked[:PREVIEW_CAP], words, fault=fault)


def _marks_of(outcome: str) -> int:
    return Mark.BARREN if brings_nothing(outcome) else Mark.TELLS if tells(outcome) else 0


def _fault(outcome: str) -> int:
    """Fingerprint the kind of fault that a result reads as, whatever the span says; 0 for none."""
    words = fault_of(outcome)
    return fingerprint(words) if words else 0


def _heard(outcome: str, whole_hash: str) -> int:
    """Fingerprint what came back: masked, and by the hash of the whole where it was cut."""
    return fingerprint(masked(outcome) + whole_hash) if outcome or whole_hash else 0


def _model_action(step: Step) -> Action:
    usage = step.usage
    used, made = (usage.input, usage.output) if usage else (0, 0)
    if step.calls:
        return _ask(step, used, made)
    if step.output_text:
        return _with_answer(_said(Sort.TALK, step.output_text, "", _told(step), used, made), step)
    return _with_answer(Action(Sort.SILENT, 0, 0, input_tokens=used, output_tokens=made), step)


def _told(step: Step) -> int:
    """Fingerprint what led a model to say something: a tool's answer or what it was told last, and its state."""
    told = step.answers[-1].result if step.answers else step.input_text[-_TOLD_CAP:]
    heard = _saying(told) if told else 0
    return joined(heard, fingerprint(step.state_hash)) if step.state_hash else heard


def _saying(text: str, name: str = "") -> int:
    """Fingerprint a message, masked: said by one and told to another it is the same."""
    return fingerprint(f"{name}\n{masked(text)}")


def _ask(step: Step, used: int, made: int) -> Action:
    calls = step.calls
    exact = "\n".join([f"{call.name}\n{call.args_hash}" for call in calls])
    near = "\n".join([f"{call.name}\n{_asked(call)}" for call in calls])
    asked = Action(
        Sort.ASK,
        fingerprint(exact),
        fingerprint(near),
        name=", ".join(dict.fromkeys(call.name for call in calls))[:NAME_CAP],
        preview=calls[0].args[:PREVIEW_CAP],
        words=pack(" ".join([read_arguments(call.args).sayings for call in calls])),
        input_tokens=used,
        output_tokens=made,
    )
    return _with_answer(asked, step)


def _asked(call: ToolCall) -> str:
    arguments = read_arguments(call.args)
    return arguments.masked("") if arguments.is_whole else call.args_hash


def _with_answer(action: Action, step: Step) -> Action:
    """Add the newest answer that a model call was given; earlier ones repeat what was said before."""
    if not step.answers:
        return action
    answer = step.answers[-1]
    if not answer.result:
        return msgspec.structs.replace(action, answer=fingerprint(answer.result_hash))
    heard = fingerprint(masked(answer.result))
    return msgspec.structs.replace(action, answer=heard, marks=_marks_of(answer.result), fault=_fault(answer.result))


def _said(sort: int, text: str, name: str, heard: int, used: int = 0, made: int = 0) -> Action:
    exact = fingerprint(f"{name}\n{text}")
    return Action(sort, exact, _saying(text, name), 0, heard, name, text[:PREVIEW_CAP], pack(text), used, made)


def _handoff(step: Step) -> Action:
    """Make the action of a word passed on: who to whom, and what was said."""
    name = f"{step.transfer_from} → {step.transfer_to or step.name}"[:NAME_CAP]
    return _said(Sort.TALK, step.output_text or step.args or step.input_text, name, 0)


def _turn(step: Step) -> Action | None:
    if not step.output_text and not step.state_hash:
        return None
    said = step.output_text or step.state
    near = (
        fingerprint(masked(step.output_text))
        if step.output_text
        else fingerprint(read_arguments(step.state).masked(""))
    )
    exact = fingerprint(f"{step.output_hash or step.output_text}\n{step.state_hash if not step.output_text else ''}")
    state = fingerprint(step.state_hash) if step.state_hash else 0
    return Action(Sort.TURN, exact, near, 0, state, "", said[:PREVIEW_CAP], pack(step.output_text))
