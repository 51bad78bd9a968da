"""Embedding on one core, by the packaged table and by the full model where it is installed; detectors on vectors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.util import find_spec
from random import Random
from typing import TYPE_CHECKING

from collector.components import detector_class, detector_names
from collector.looking import PACKAGE, model_folder
from processors.meaning.static_embedder import StaticEmbedder
from processors.spending.model_catalogue import PricedModels

from . import Figure
from .bench_loop import _step
from .folding import folded

if TYPE_CHECKING:
    from processors.looking.full_model import FullModel

TEXT = (
    "search flight price order user error retry file read write function test result page data customer refund "
    "check update list item query table value agent plan step next answer found nothing report summary city hotel"
)
SHORT, LONG = 12, 1_200
STEPS = 6_400


def run() -> list[Figure]:
    """Measure each kind of text."""
    random = Random(1)  # noqa: S311  # texts, no secrets
    short = [_text(random, SHORT, number) for number in range(30_000)]
    long = [_text(random, LONG, number) for number in range(300)]
    embedder = StaticEmbedder()
    embedder.embed(TEXT)  # reads the table
    texts = [
        ("embedding, new texts of 12 words", _per_second(embedder, short), "texts/CPU-s"),
        ("embedding, new texts of 1,200 words", _per_second(embedder, long), "texts/CPU-s"),
        ("embedding, texts that are remembered", _per_second(embedder, short[-1_000:] * 20), "texts/CPU-s"),
    ]
    return [*texts, *_full_model(short, long), *_detectors(embedder)]


def _full_model(short: Sequence[str], long: Sequence[str]) -> list[Figure]:
    """Measure the full model as the second look runs it, in one thread; nothing where it is not installed."""
    folder = model_folder(None)
    if find_spec(PACKAGE) is None or not folder:
        return []
    from processors.looking.full_model import FullModel

    model = FullModel(folder)
    model.vectors(short[:64])
    return [
        ("embedding by the full model, texts of 12 words", _rows_per_second(model, short[:1_000]), "texts/CPU-s"),
        ("embedding by the full model, texts of 1,200 words", _rows_per_second(model, long[:20]), "texts/CPU-s"),
    ]


def _rows_per_second(model: FullModel, texts: Sequence[str]) -> float:
    began = time.process_time()
    model.vectors(texts)
    return len(texts) / (time.process_time() - began)


def _detectors(embedder: StaticEmbedder) -> list[Figure]:
    """Measure each detector that reads vectors, over one run whose texts are new at each step."""
    classes = [detector_class(name) for name in detector_names()]
    made = [cls(cls.Config(), PricedModels(), embedder) for cls in classes if cls.reads_vectors]
    steps = [_step(number) for number in range(STEPS)]
    return [figure for detector in made for figure in folded(detector, steps)]


def _text(random: Random, words: int, number: int) -> str:
    return f"{' '.join(random.choices(TEXT.split(), k=words))} {number}"


def _per_second(embedder: StaticEmbedder, texts: Sequence[str]) -> float:
    began = time.process_time()
    for text in texts:
        embedder.embed(text)
    return len(texts) / (time.process_time() - began)
