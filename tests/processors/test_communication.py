"""What one agent tells another and what that one makes of it: failures, and exchanges that look like them."""

from __future__ import annotations

import pytest
from small_runs import Scribe, ref, reports

from processors.communication import CommunicationConfig, CommunicationDetector
from processors.meaning.reply_forms import form_asked, has_form
from processors.meaning.reply_needs import ABOUT, ACCOUNT, FIGURE, FORM, needs_of, unmet
from processors.spending.model_catalogue import PricedModels
from schemas.step import AGENT, Step

ASKED = "Look up the orders of this week and return them as JSON."
MEASURED = "The pump in hall 4 runs at 310 bar since Monday, its limit is 350 bar."


def exchange(message: str, reply: str, **turn: str) -> list[Step]:
    run = Scribe()
    run.add(AGENT, agent="planner", output_text=message)
    run.add(AGENT, agent="worker", **{"input_text": message, "output_text": reply, **turn})
    return run.steps


def mismatches(steps: list[Step]) -> list[str]:
    detector = CommunicationDetector(CommunicationConfig(), PricedModels())
    return [finding.evidence["mismatch"] for finding in reports(detector, steps)]


def test_prose_where_json_was_asked_for_is_told_with_both_messages() -> None:
    steps = exchange(ASKED, "There were four orders this week, all of them paid.")
    (finding,) = reports(CommunicationDetector(CommunicationConfig(), PricedModels()), steps)
    assert (finding.type, finding.evidence["mismatch"]) == ("communication", "form")
    assert finding.spans == (ref(steps[0]), ref(steps[1]))


@pytest.mark.parametrize(
    "reply",
    [
        '[{"order": 1}]',
        "order 1\norder 2",
        'Here they are:\n```json\n{"orders": []}\n```',
        "Which of the two shops do you mean?",
    ],
)
def test_json_within_a_reply_or_a_question_back_is_no_mismatch(reply: str) -> None:
    assert mismatches(exchange(ASKED, reply)) == []


def test_it_is_silent_where_nobody_says_who_was_told() -> None:
    assert mismatches(exchange(ASKED, "There were four orders.", input_text="Something else")) == []


def test_a_figure_that_changes_on_the_way_is_told() -> None:
    changed = MEASURED.replace("310", "130")
    assert mismatches(exchange(MEASURED, changed, transfer_to="clerk")) == ["relay"]
    assert mismatches(exchange(MEASURED, changed, transfer_to="planner")) == [], "an answer may name another figure"


@pytest.mark.parametrize(
    "relayed",
    [
        MEASURED,
        "The pump in hall 4 runs at 310 bar, its limit is 350 bar.",
        "I turned the pump down: it delivers 280 now, well within what its maker allows for the seals.",
    ],
)
def test_a_faithful_relay_and_news_of_ones_own_are_no_mismatch(relayed: str) -> None:
    assert mismatches(exchange(MEASURED, relayed, transfer_to="clerk")) == []


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Answer in JSON.", "JSON"),
        ("Give me the result as a markdown table", "table"),
        ("Find the error in json files of the project", ""),
        ("Do not answer in JSON.", ""),
        ("Return XML, or answer as JSON.", ""),
        ("Find the hosts and return them as a sorted list.", "list"),
        ("Return the answer as a Python dictionary", "dictionary"),
        ("Return a JSON array with the list of hosts", "JSON"),
        ("List the hosts of the cluster", ""),
    ],
)
def test_the_form_that_is_asked_for(text: str, form: str) -> None:
    assert form_asked(text) == form


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("a,b\n1,2", "CSV"),
        ("| a | b |\n|---|---|", "table"),
        ("<a><b>1</b></a>", "XML"),
        ("name: x", "YAML"),
        ('{"a": 1}', "dictionary"),
    ],
)
def test_replies_have_the_form_they_have(text: str, form: str) -> None:
    assert has_form(text, form)
    assert not has_form("All went well and nothing is left to do.", form)


@pytest.mark.parametrize(
    ("message", "reply", "missing"),
    [
        ("How many pumps run in hall 4?", "Most of them run, and the hall is quiet.", FIGURE),
        ("Return the leaks as a list.", "There were some leaks in the upper hall.", f"{FORM} list"),
        ("Return the leaks as a list.", "Valve 3 and valve 4.", ""),
        ("Return the leaks as a list.", "Valve 3", ""),
        ("Give me the failure rate of the presses", "It has been better than last week.", FIGURE),
        ("Which valve leaks?", "I've replaced the pump. I also painted the wall.", ACCOUNT),
        ("Which valve leaks?", "I've replaced the pump. The upper valve leaks.", ""),
        ("Which valve leaks?", "I checked all of them.", ""),
        ("Explain how ticket T17 came about", "Ticket T12 came from the night shift.", f"{ABOUT} t17"),
        ("Explain how ticket T17 came about", "T17 came about as T12 did, in the night shift.", ""),
    ],
)
def test_what_a_reply_lacks_of_what_was_asked(message: str, reply: str, missing: str) -> None:
    assert unmet(needs_of(message), reply) == ((missing,) if missing else ())
    assert mismatches(exchange(message, reply)) == ([missing.partition(" ")[0]] if missing else [])


@pytest.mark.parametrize(
    "reply", ["Which hall do you mean?", "I cannot see the meters.", "I will count them tomorrow."]
)
def test_who_asks_back_or_cannot_tell_lacks_nothing(reply: str) -> None:
    assert mismatches(exchange("How many pumps run in hall 4?", reply)) == []


def test_of_a_long_message_nobody_can_say_what_it_asks() -> None:
    assert needs_of("How many pumps run? " + "The halls were built one after another. " * 20) == ()


def test_the_end_of_a_long_reply_counts_for_its_form() -> None:
    long = f"<report>{'The upper valve leaks. ' * 120}</report>"
    assert unmet(needs_of("Return it as XML."), long) == ()
