"""What may differ without making a difference, and what may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.loops.arguments import read_arguments
from processors.loops.masking import looks_random, masked
from processors.loops.wording import brings_nothing, is_same_form, pack, related
from schemas.canonical import canonical


def asked(result: str = "", **arguments: object) -> str:
    return read_arguments(canonical(arguments).decode()).masked(result)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("done at 2026-01-05T10:00:01Z", "Done  at 2026-01-05T10:00:59.123+01:00"),
        ("3 rows, 34 ms", "3 rows, 5 ms"),
        ('{"id": 7, "request_id": "abcd1"}', '{"id": 7, "request_id": "zzzz2"}'),
        ("run 0f8fad5b-d9cb-469f-a165-70867728950e ended", "run 7c9e6679-7425-40de-944b-e07fc1f90ae7 ended"),
        ("[span=k3x92zq7w1] nothing", "[span=p8m2v5t9h4] nothing"),
    ],
)
def test_times_durations_and_drawn_names_in_results_are_masked(one: str, other: str) -> None:
    assert masked(one) == masked(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12 of 40 failing", "11 of 40 failing"),
        ("flight on 2026-01-05", "flight on 2026-01-06"),
        ("status: pending", "status: done"),
        ("x" * 1_000 + "a" + "x" * 1_000, "x" * 1_000 + "b" + "x" * 1_000),
    ],
)
def test_figures_dates_and_words_are_not(one: str, other: str) -> None:
    assert masked(one) != masked(other)


def test_arguments_that_tell_how_a_call_was_made_do_not_count() -> None:
    assert asked(q="x", requestId="1", timestamp=17) == asked(q=" X", requestId="2", nonce="abc")


def test_arguments_that_tell_where_to_go_on_do() -> None:
    assert asked(q="x", next_trace="k3x92zq7w1") != asked(q="x", next_trace="p8m2v5t9h4")


def test_a_drawn_value_alone_is_what_the_call_is_about() -> None:
    assert asked(box="in", parcel="k3x92zq7w1") != asked(box="in", parcel="p8m2v5t9h4")


def test_drawn_values_beside_other_volatile_ones_are_volatile_unless_the_result_speaks_of_them() -> None:
    one = {"box": "in", "mark": "k3x92zq7w1", "nonce": "1"}
    other = {"box": "in", "mark": "p8m2v5t9h4", "nonce": "2"}
    assert asked(**one) == asked(**other)
    assert asked("k3x92zq7w1: ok", **one) != asked("p8m2v5t9h4: ok", **other)


def test_of_arguments_that_are_all_volatile_all_count() -> None:
    assert asked(request_id="1") != asked(request_id="2")


@pytest.mark.parametrize("token", ["k3x92zq7w1", "xkvbtrqpzmwn", "9f86d081884c"])
def test_drawn_tokens_look_random(token: str) -> None:
    assert looks_random(token)


@pytest.mark.parametrize(
    "word", ["information", "deployments", "version2", "straightforward", "20260105", "unternehmen"]
)
def test_written_words_do_not(word: str) -> None:
    assert not looks_random(word)


def test_texts_about_one_thing_are_related_and_forms_are_told_apart() -> None:
    one, other = pack("How do I renew the parking permit?"), pack("parking permit renewal procedure")
    assert related(one, other)
    assert not is_same_form(one, other)
    assert is_same_form(pack("mails from alice about taxes"), pack("mails from bob about taxes"))


def test_commands_are_no_wording() -> None:
    assert pack("git add . && git commit -m fix") == b""
    assert pack("python tests/run_all.py") == b""


def test_new_figures_are_something_new() -> None:
    assert not related(pack("parking permit for car 12"), pack("parking permit for car 11"))


@pytest.mark.parametrize("result", ["[]", "Nothing found.", "0 pages match.", "Keine Treffer"])
def test_results_that_bring_nothing(result: str) -> None:
    assert brings_nothing(result)


@pytest.mark.parametrize("result", ["", "3 hits", "Paris is nice", "no match in 12 files, 3 skipped", "x" * 500])
def test_results_that_bring_something(result: str) -> None:
    assert not brings_nothing(result)


@given(st.text(max_size=1_200))
def test_any_text_is_masked_and_masking_ignores_spelling(text: str) -> None:
    assert isinstance(masked(text), str)
    assert len(pack(text)) <= 40


@pytest.mark.parametrize("hostile", ["a" * 100_000, "1:" * 50_000, "a=" * 50_000, "-" * 100_000, "0" * 100_000])
def test_of_hostile_text_little_is_kept(hostile: str) -> None:
    assert len(masked(hostile)) < 1_000
    assert pack(hostile) == b""
    assert not brings_nothing(hostile)
