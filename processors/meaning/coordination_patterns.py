"""What goes wrong between agents, as patterns over the last messages of a run: each a function of the newest one.

Structure decides, who to whom and in which order; vectors only say whether two messages are about the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from processors.meaning.coordination_messages import Answered, Sent
from processors.meaning.vectors import likeness
from processors.meaning.word_sketch import news, split

SAME_TASK, SAME_SUBJECT = 0.9, 0.6
"""Cosine from which on two messages are the same task passed on, and are about one thing. Consecutive messages of
healthy exchanges, where every message answers the one before, measure .19 to .90, so neither counts by itself."""
ALIKE = 0.7
"""Cosine from which on a sender says the same once more; rewordings measure .74 to .92."""
NEW_WORDS = 0.5
"""Share of new words up to which a message adds nothing to those that were passed on before it."""
HOPS = 3
"""Hand-ons of one task that nobody does, and agents of a circle."""
UNANSWERED = 6
"""Messages about one thing in a row without a word from the receiver."""
ASKED = 3
"""Times that one thing is asked of one receiver who answers each time."""


class Pattern(NamedTuple):
    """A pattern that was found: its name, the messages it rests on in order, how sure it is, and the words for it.

    Of 20 that were told in labelled runs all were right (95 % sure of 84 %), of each kind 1 to 9: above the grey zone,
    and below what may be mended without a person.
    """

    kind: str
    messages: tuple[Sent, ...]
    confidence: float
    what: str


def found(recent: Sequence[Sent]) -> list[Pattern]:
    """Look at the newest of the last messages in the light of those before it."""
    return [pattern for look in _LOOKS if (pattern := look(recent[-1], recent[:-1])) is not None]


def unanswered(recent: Sequence[Sent]) -> list[Pattern]:
    """Give the messages that a run ended without anybody taking note of."""
    ignored = [one for at, one in enumerate(recent) if _is_ignored(one, recent[:at], recent[at + 1 :])]
    return [_ignored((one,)) for one in ignored]


def _ignored(messages: tuple[Sent, ...]) -> Pattern:
    newest = messages[-1]
    what = f"{newest.receiver} took no note of what {newest.sender} sent"
    return Pattern("ignored", messages, 0.75 if len(messages) > 1 else 0.7, what)


def _is_ignored(one: Sent, before: Sequence[Sent], after: Sequence[Sent]) -> bool:
    """Say whether no answer came: a question that was asked before already is none."""
    if one.message.answered != Answered.NO:
        return False
    asked = [earlier for earlier in before if _goes(earlier, one.receiver, one.sender)]
    answers = [later for later in after if _goes(later, one.receiver, one.sender)]
    return all(any(_likeness(answer, earlier) >= SAME_SUBJECT for earlier in asked) for answer in answers)


def _ignored_again(newest: Sent, before: Sequence[Sent]) -> Pattern | None:
    if newest.message.answered != Answered.NO:
        return None
    row = [*_since_answer(newest, before), newest]
    row = [one for one in row if one.message.answered == Answered.NO]
    return _ignored(tuple(row)) if len(row) > 1 else None


def _flood(newest: Sent, before: Sequence[Sent]) -> Pattern | None:
    row = [*_since_answer(newest, before), newest]
    if len(row) < UNANSWERED or any(_likeness(one, newest) < ALIKE for one in row):
        return None
    what = f"{newest.sender} sent {newest.receiver} {len(row)} messages about the same without an answer"
    return Pattern("unanswered", tuple(row[:UNANSWERED]), 0.7, what)


def _deadlock(newest: Sent, before: Sequence[Sent]) -> Pattern | None:
    """Find that each of two waits for the other: the last that either told the other was that it waits."""
    if not newest.message.waits:
        return None
    told = next((one for one in reversed(before) if _goes(one, newest.receiver, newest.sender)), None)
    if told is None or not told.message.waits:
        return None
    return Pattern("deadlock", (told, newest), 0.75, f"{newest.sender} and {newest.receiver} wait for each other")


def _circle(newest: Sent, before: Sequence[Sent]) -> Pattern | None:
    """Find a task that was handed on until it came back to who had it first, nothing being added on the way."""
    chain = _chain(newest, before)
    if len(chain) < HOPS or chain[0].sender != newest.receiver or not _adds_nothing(chain):
        return None
    names = " → ".join([one.sender for one in chain] + [newest.receiver])
    return Pattern("circular_delegation", tuple(chain), 0.7, f"A task went in a circle: {names}")


def _passed_on(newest: Sent, before: Sequence[Sent]) -> Pattern | None:
    chain = [one for one in _chain(newest, before) if _likeness(one, newest) >= SAME_TASK]
    if len(chain) < HOPS:
        return None
    names = " → ".join([one.sender for one in chain] + [newest.receiver])
    return Pattern("passed_on", tuple(chain), 0.7, f"The same task was passed on and done by nobody: {names}")


def _asked_again(newest: Sent, before: Sequence[Sent]) -> Pattern | None:
    """Find one thing asked again and again of somebody who answers, the answers being ignored or always the same."""
    asked = [one for one in before if _goes(one, newest.sender, newest.receiver) and _likeness(one, newest) >= ALIKE]
    asked.append(newest)
    answers = [one for one in before if _goes(one, newest.receiver, newest.sender) and one.index > asked[0].index]
    if len(asked) < ASKED or len(answers) < ASKED - 1 or not _changes_nothing(answers[-(ASKED - 1) :]):
        return None
    what = f"{newest.sender} asks {newest.receiver} for the same again whatever the answer"
    return Pattern("asked_again", tuple(asked[-ASKED:]), 0.68, what)


def _changes_nothing(answers: Sequence[Sent]) -> bool:
    if any(one.message.answered == Answered.NO for one in answers):
        return True
    known = frozenset(split(answers[0].message.words))
    return all(news(one.message.words, known)[0] <= NEW_WORDS / 2 for one in answers[1:])


def _given_twice(newest: Sent, before: Sequence[Sent]) -> Pattern | None:
    """Find one task given to two: word for word, before the first had said a word; what somebody relays is none."""
    same = [one for one in before if one.sender == newest.sender and one.message.text == newest.message.text]
    if not same or same[-1].receiver == newest.receiver:
        return None
    first = same[-1]
    spoken = any(one.sender == first.receiver and one.index > first.index for one in before)
    relayed = any(one.receiver == newest.sender and _likeness(one, newest) >= ALIKE for one in before)
    if spoken or relayed:
        return None
    what = f"{newest.sender} gave {first.receiver} and {newest.receiver} the same task"
    return Pattern("given_twice", (first, newest), 0.66, what)


def _contention(newest: Sent, before: Sequence[Sent]) -> Pattern | None:
    """Find that two who know nothing of each other want something of one receiver about the same thing."""
    if any(one.sender == newest.receiver for one in before):
        return None  # it has spoken: what comes to it may be answers
    others = [one for one in before if one.receiver == newest.receiver and one.sender != newest.sender]
    rival = next((one for one in reversed(others) if _likeness(one, newest) >= SAME_SUBJECT), None)
    if rival is None or any(_goes(one, rival.sender, newest.sender) for one in before):
        return None
    what = f"{rival.sender} and {newest.sender} both want something of {newest.receiver} about the same"
    return Pattern("contention", (rival, newest), 0.66, what)


_LOOKS: tuple[Callable[[Sent, Sequence[Sent]], Pattern | None], ...] = (
    _ignored_again,
    _flood,
    _deadlock,
    _circle,
    _passed_on,
    _asked_again,
    _given_twice,
    _contention,
)


def _goes(one: Sent, sender: str, receiver: str) -> bool:
    return one.sender == sender and one.receiver == receiver


def _likeness(one: Sent, other: Sent) -> float:
    return likeness(one.message.meaning, other.message.meaning)


def _since_answer(newest: Sent, before: Sequence[Sent]) -> list[Sent]:
    """Give what the sender told the receiver since the receiver last told it anything."""
    row: list[Sent] = []
    for one in reversed(before):
        if _goes(one, newest.receiver, newest.sender):
            break
        if _goes(one, newest.sender, newest.receiver):
            row.insert(0, one)
    return row


def _chain(newest: Sent, before: Sequence[Sent]) -> list[Sent]:
    """Follow a message back: to what its sender was sent last before it, until somebody comes twice."""
    chain, seen = [newest], {newest.sender}
    for one in reversed(before):
        if one.receiver == chain[0].sender and one.sender not in seen:
            chain.insert(0, one)
            seen.add(one.sender)
            if one.sender == newest.receiver:
                break
    return chain


def _adds_nothing(chain: Sequence[Sent]) -> bool:
    known = set(split(chain[0].message.words))
    for one in chain[1:]:
        share, figures = news(one.message.words, known)
        if (share > NEW_WORDS or figures) and not one.message.hands_on:
            return False
        known |= set(split(one.message.words))
    return True
