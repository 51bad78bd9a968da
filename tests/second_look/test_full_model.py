"""The real package, where it is installed: its vectors are ours, and it decides what the table of words cannot."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from escalated_runs import trace
from looked_runs import AGAIN, OF_ONE_KIND, derailed_run, grey_run
from looking_glass import LookingGlass, Open
from pipeline_process import PipelineProcess
from searching import latest_loop, searches

from collector.looking import MODEL_PACKAGE, PACKAGE, model_folder
from processors.looking.full_model import FullModel
from processors.looking.model_process import ModelProcess, command_for
from processors.meaning.repetition_rows import SAME_SHORT
from processors.meaning.static_embedder import StaticEmbedder
from processors.meaning.vectors import likeness
from schemas.detection import OPEN, WITHDRAWN

pytestmark = [pytest.mark.transformers, pytest.mark.timeout(300)]

TEXTS = (
    *AGAIN,
    "x",
    "",
    "日本語のテキスト mixed with English 北京",
    "tab\tand\nnewline\x00control\u200bzero-width",
    "😀 emoji and " + "x" * 300,
    '{"query": "flights to Lisbon", "page": 2, "cursor": null}',
)
TASK = "Fix the failing login test in the billing service and explain the cause"
IN_OTHER_WORDS = "The sign-in check in billing was red because a credential had expired; it passes again now."
ELSEWHERE = "Balloons, cake and a magician would make the garden celebration unforgettable; guests love loud music."


@pytest.fixture(scope="session")
def folder() -> str:
    if find_spec(PACKAGE) is None or find_spec(MODEL_PACKAGE) is None:
        if os.environ.get("TRACEMEND_TEST_REQUIRE_TRANSFORMERS"):
            pytest.fail("the extra `transformers` was to be installed here")
        pytest.skip("needs pip install '.[transformers]'")
    return model_folder(None)


@pytest.fixture(scope="session")
def model(folder: str) -> FullModel:
    return FullModel(folder)


@pytest.fixture
def process(folder: str) -> Iterator[ModelProcess]:
    started = ModelProcess(command_for(folder))
    yield started
    started.close()


def test_our_batches_give_the_vectors_of_sentence_transformers_own_encode(folder: str, process: ModelProcess) -> None:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(folder).encode(list(TEXTS), normalize_embeddings=True)
    for batch in (TEXTS, TEXTS[::-1], TEXTS * 20):
        ours = process.vectors(batch)
        expected = np.stack([theirs[TEXTS.index(text)] for text in batch])
        np.testing.assert_allclose(ours, expected, atol=2e-6)


def test_a_long_text_is_cut_into_passages_that_hold_all_of_it(model: FullModel) -> None:
    flights, compiler = "Book a flight to Lisbon for Monday. " * 120, "The compiler reports a syntax error. " * 120
    passages = list(model._passages(flights + compiler))
    tokens = model._model.tokenizer.tokenize
    assert sum((tokens(passage) for passage in passages), []) == tokens(flights + compiler)  # noqa: RUF017  # few
    whole, other = model.vectors([flights + compiler, "a compiler error"])
    read_on, cut_short = float(whole @ other), float(model.vectors([flights])[0] @ other)
    assert len(passages) > 4
    assert read_on > cut_short + 0.2
    assert np.linalg.norm(whole) == pytest.approx(1, abs=1e-5)


def test_the_full_model_decides_what_the_table_cannot(opened: Open, process: ModelProcess) -> None:
    embed = StaticEmbedder().embed
    for texts in (AGAIN, OF_ONE_KIND):
        assert min(likeness(embed(one), embed(other)) for one, other in pairwise(texts)) > SAME_SHORT
    glass = opened(process)
    glass.publish([*grey_run(trace(1), AGAIN), *grey_run(trace(2), OF_ONE_KIND)])
    glass.settle()
    assert outcome(glass) == {trace(1): (OPEN, 0.78), trace(2): (WITHDRAWN, 0.2)}


def test_an_answer_in_other_words_is_no_derailment(opened: Open, process: ModelProcess) -> None:
    glass = opened(process)
    glass.publish([*derailed_run(trace(1), TASK, ELSEWHERE, IN_OTHER_WORDS), *derailed_run(trace(2), TASK, ELSEWHERE)])
    glass.settle()
    on_task, derailed = outcome(glass)[trace(1)], outcome(glass)[trace(2)]
    assert on_task[1] < 0.5 == derailed[1]


def test_a_model_that_is_killed_is_started_again(process: ModelProcess) -> None:
    before = process.vectors(["one"])
    assert process._process is not None
    os.kill(process._process.pid, signal.SIGKILL)
    process._process.wait()
    with pytest.raises(Exception, match="exit status -9"):
        process.vectors(["two"])
    np.testing.assert_allclose(process.vectors(["one"]), before, atol=1e-6)


@pytest.mark.parametrize("end", [PipelineProcess.stop, PipelineProcess.kill])
def test_from_spans_to_a_finding_that_was_looked_at_again(
    folder: str, tmp_path: Path, end: Callable[[PipelineProcess], object]
) -> None:
    settings = [f"processors::embedding_similarity::{one}=true" for one in ("enabled", "second_look")]
    pipeline = PipelineProcess(tmp_path / "data", "service::processes=1", *settings)
    try:
        pipeline.start()
        assert pipeline.post("/v1/traces", searches(trace(1)), "application/json")[0] == 200
        found = latest_loop(pipeline, until="second_look")
        assert (found["tier"], found["evidence"]["second_look"]["found"]) == (3, "confirmed")
        assert found["evidence"]["second_look"]["model"] == "all-MiniLM-L6-v2"
        assert found["confidence"] == 0.78
        assert "the second look is off" not in pipeline.log()
        (model,) = models_of(pipeline)
        assert end(pipeline) in (0, None)
        assert has_ended(model), "the model outlives its pipeline"
    finally:
        pipeline.kill_if_running()


def models_of(pipeline: PipelineProcess) -> list[int]:
    """List the processes of models that a pipeline has started."""
    assert pipeline.process is not None
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if is_model_of(pid, pipeline.process.pid)]


def is_model_of(pid: int, parent: int) -> bool:
    """Say whether a process is a model that the parent has started; one that has just gone is none."""
    try:
        started_by = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return started_by == parent and b"processors.looking.full_model" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def has_ended(pid: int) -> bool:
    """Wait until a process is gone."""
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    return not Path(f"/proc/{pid}").exists()


def outcome(glass: LookingGlass) -> dict[str, tuple[str, float]]:
    """Say how the newest version of each run's finding stands."""
    return {one["run_id"]: (one["status"], one["confidence"]) for one in glass.versions(own=True)}
