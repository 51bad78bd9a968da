"""What a message needs of its reply, and which of that a reply does not have: a form, a figure, an account, a subject.

English only, and by words that belong to no trade: of asking, of measuring, of doing. A reply that asks back or says
that it cannot is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from processors.meaning.reply_forms import form_asked, has_form

REQUEST_CAP: Final = 400
"""Characters up to which a message is one request; in a longer one nobody can say which words ask for what."""
REPLY_CAP: Final = 2_048
FORM, FIGURE, ACCOUNT, ABOUT = "form", "figure", "account", "about"
"""Kinds of needs; a need is written as its kind, a blank and what it is about."""
_SUBJECTS_CAP: Final = 4

_FIGURE_ASKED = re.compile(
    r"\bhow (?:many|much)\b|\bwhat percentage\b"
    r"|\b(?:calculate|compute|count|(?:give|tell|send) (?:me|us) the|what(?:'s| is| was) the)\b[^.?!\n]{0,40}"
    r"\b(?:number|count|total|sum|average|mean|median|rate|ratio|percentage|amount)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\d|\b(?:no|none|nothing|zero|one|two|three|four|five|six|seven|eight|nine|ten|dozen|hundred|thousand|million)\b",
    re.IGNORECASE,
)
_ACCOUNT_ASKED = re.compile(
    r"\s*(?:please\s+|(?:can|could) you (?:please )?)?"
    r"(?:what|which|who|when|where|why|how|is|are|explain|describe|compare|summari[sz]e|tell|recommend|report)\b",
    re.IGNORECASE,
)
_DEED = re.compile(
    r"\s*(?:(?:done|ok|okay|sure)[,.! ]+)?(?:i|we)(?:'ve| have)?(?: already| just| now| also)* (\w+ed)\b", re.IGNORECASE
)
_INQUIRY = re.compile(
    r"(?:check|look|search|review|compar|analy[sz]|examin|calculat|verifi|confirm|gather|list|summari[sz]|inspect|"
    r"notic|consider|recommend|call|request|ask|need|want|learn|observ|measur|explor|determin|identifi|explain|"
    r"collect|conclud|download|fetch|queri|receiv|retriev|scann|test|finish|complet)\w*",
    re.IGNORECASE,
)
"""Deeds that lead to an account of what was found, or are none."""
_SUBJECT = re.compile(r"\b([A-Za-z]{1,8})-?(\d{1,6})\b")
_ASKS_BACK = re.compile(
    r"\?\s*$|\b(?:cannot|could not|(?:do(?:es)?|did) not|(?:ca|could|do|does|did)n't|unable|no access"
    r"|not (?:available|known|found)|sorry|unknown|will|wait)\b|'ll\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?\n]+[.!?\n]*")


@lru_cache(maxsize=512)  # what one says and another hears is asked of twice
def needs_of(message: str) -> tuple[str, ...]:
    """List what a message needs of its reply, as `form JSON`, `figure`, `account`, `about q4`."""
    form = form_asked(message)
    needs = [f"{FORM} {form}"] if form else []
    if len(message) > REQUEST_CAP:
        return tuple(needs)
    if _FIGURE_ASKED.search(message):
        needs.append(FIGURE)
    if _ACCOUNT_ASKED.match(message):
        needs.append(ACCOUNT)
    return (*needs, *(f"{ABOUT} {letters}{number}" for letters, number in _subjects(message)))


def unmet(needs: Sequence[str], reply: str) -> tuple[str, ...]:
    """List the needs that a reply does not meet; a form is looked for even where it says that it cannot."""
    return tuple(need for need in needs if not _meets(reply, *need.partition(" ")[::2]))


def in_words(need: str) -> str:
    """Say of somebody which need was not met: `was asked for JSON and answered in another form`."""
    kind, _, what = need.partition(" ")
    return {
        FORM: f"was asked for {what} and answered in another form",
        FIGURE: "was asked for a figure and gave none",
        ACCOUNT: "was asked a question and told only of other things it did",
        ABOUT: f"was asked about {what.upper()} and answered about another",
    }[kind]


def _meets(reply: str, kind: str, what: str) -> bool:
    if kind == FORM:
        return has_form(reply, what)
    reply = reply[:REPLY_CAP]  # but a form is looked for in all of it: end tags stand at the end
    if _ASKS_BACK.search(reply):
        return True
    if kind == FIGURE:
        return _NUMBER.search(reply) is not None
    return _gives_account(reply) if kind == ACCOUNT else _is_about(reply, what)


def _gives_account(reply: str) -> bool:
    """Say whether a reply has a sentence that does not tell of its author's deeds, or of deeds that find things out."""
    deeds = [_DEED.match(sentence) for sentence in _SENTENCE.findall(reply) if sentence.strip()]
    return not deeds or any(deed is None or _INQUIRY.fullmatch(deed.group(1)) for deed in deeds)


def _is_about(reply: str, subject: str) -> bool:
    """Say whether a reply names a subject, or no other of its kind: asked about Q4 it may not tell of Q3 alone."""
    letters = subject.rstrip("0123456789")
    named = [number for other, number in _SUBJECT.findall(reply.lower()) if other == letters]
    return not named or subject[len(letters) :] in named


def _subjects(message: str) -> list[tuple[str, str]]:
    return list(dict.fromkeys(_SUBJECT.findall(message.lower())))[:_SUBJECTS_CAP]
