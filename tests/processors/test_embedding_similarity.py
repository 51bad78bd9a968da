"""Vectors of texts: the same as model2vec's own, no text cut short, none embedded twice, all within bounds."""

from __future__ import annotations

import subprocess
import sys
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model2vec import StaticModel

from processors.embedding_similarity import EmbeddingSettings
from processors.meaning.passages import PASSAGE_PIECES, PASSAGES_CAP, passages
from processors.meaning.static_embedder import StaticEmbedder
from processors.meaning.static_table import FOLDER, StaticTable
from processors.meaning.vectors import DIMENSIONS, blended, likeness, likenesses
from schemas.metrics import EMBEDDED_TEXTS

TABLE = StaticTable()
MODEL = StaticModel.from_pretrained(FOLDER)
TEXTS = (
    "I will search for flights to Lisbon",
    "Retrying the query with a new filter: {'page': 2, \"cursor\": null}",
    "Crème brûlée, naïve Zürich — 5€ „quoted“ ÀÉÎ",
    "日本語のテキスト mixed with English 北京 and 한국어",
    "tab\tand\nnewline\x00control\u200bzero-width",
    "unbelievably antidisestablishmentarianism x1_y2 foo.bar@example.com",
    "😀 emoji 👩‍👩‍👧 and " + "x" * 150 + " the end",
    "Привет мир, как дела? İstanbul ẞ ﬁ",
)


@pytest.mark.parametrize("text", TEXTS)
def test_word_pieces_are_those_of_the_tokenizers_package(text: str) -> None:
    assert TABLE.pieces.numbers(text) == MODEL.tokenize([text])[0]


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(max_codepoint=0x052F, exclude_categories=["Cn"]), max_size=60))
def test_word_pieces_of_any_text_are_those_of_the_tokenizers_package(text: str) -> None:
    assert TABLE.pieces.numbers(text) == MODEL.tokenize([text])[0]


def test_vectors_point_where_model2vec_points() -> None:
    for text in TEXTS:
        ours = TABLE.total(TABLE.pieces.numbers(text)).astype(float)
        theirs = MODEL.encode(text).astype(float)
        assert ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs) > 0.9999


def test_alike_texts_are_alike_and_others_are_not() -> None:
    embed = StaticEmbedder().embed
    lisbon = embed("I will search for flights to Lisbon")
    assert likeness(lisbon, embed("Let me look up flights to Lisbon")) > 0.75
    assert likeness(lisbon, embed("The code compiled with errors")) < 0.2
    assert likeness(lisbon, lisbon) == pytest.approx(1)
    assert len(lisbon) == DIMENSIONS


def test_a_text_without_words_is_like_nothing() -> None:
    embed = StaticEmbedder().embed
    assert embed("") == embed(" \n") == b""
    assert likeness(b"", embed("word")) == likeness(embed("word"), b"") == 0
    assert list(likenesses(embed("word"), (b"", embed("word")))) == pytest.approx([0, 1])
    assert blended([b"", embed("word")]) == embed("word")


def test_a_long_text_is_cut_between_sentences_and_loses_nothing() -> None:
    sentence = "The quick brown fox jumps over the lazy dog and runs away from it. "
    text = sentence * 40
    cut = passages(text, TABLE.pieces.numbers)
    assert list(chain(*cut)) == TABLE.pieces.numbers(text)
    length = len(TABLE.pieces.numbers(sentence))
    assert all(len(passage) <= PASSAGE_PIECES and len(passage) % length == 0 for passage in cut)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(("word ", "stop. ", "para\n\n", "unbreakable", "。", "1,2;3 ")), max_size=4_000))
def test_passages_are_few_and_hold_the_whole_text(parts: list[str]) -> None:
    text = "".join(parts)
    cut = passages(text, TABLE.pieces.numbers)
    assert len(cut) <= PASSAGES_CAP + 1
    assert all(cut)
    if len(cut) < 2:
        assert list(chain(*cut)) == TABLE.pieces.numbers(text)


def test_the_parts_of_a_long_text_are_told_apart() -> None:
    embedder = StaticEmbedder()
    text = "Book a flight to Lisbon for Monday. " * 30 + "\n\n" + "The compiler reports a syntax error. " * 30
    vectors = embedder.passages(text)
    flight, compiler = embedder.embed("flight to Lisbon"), embedder.embed("compiler error")
    assert likeness(vectors[0], flight) > 0.6 > likeness(vectors[-1], flight)
    assert likeness(vectors[-1], compiler) > 0.6 > likeness(vectors[0], compiler)


def test_a_text_is_embedded_once_and_the_cache_keeps_to_its_bytes() -> None:
    embedder = StaticEmbedder(EmbeddingSettings(cache_bytes=4_000))
    before = EMBEDDED_TEXTS._value.get()
    for _ in range(5):
        embedder.embed("the same text")
    assert EMBEDDED_TEXTS._value.get() == before + 1
    first = embedder.embed("the same text")
    for number in range(100):
        embedder.embed(f"text {number}")
    assert 0 < embedder._bytes <= 4_000
    assert embedder.embed("the same text") == first
    assert EMBEDDED_TEXTS._value.get() == before + 102


def test_a_table_of_other_numbers_is_refused_in_words(tmp_path) -> None:  # type: ignore[no-untyped-def]
    header = b'{"embeddings":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}'
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    with pytest.raises(ValueError, match="holds F32 numbers"):
        StaticTable(tmp_path)


def test_neither_torch_nor_a_tokenizer_is_loaded_for_it() -> None:
    code = (
        "import sys; from processors.meaning.static_embedder import StaticEmbedder; StaticEmbedder().embed('now');"
        "assert not {'torch', 'model2vec', 'tokenizers', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
