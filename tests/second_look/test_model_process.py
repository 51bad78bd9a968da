"""The model's process: one that hangs, dies or speaks nonsense is ended, and the next question starts another."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from processors.looking.model_process import ModelAwayError, ModelProcess, command_for

PROTOCOL = """
import sys, time, os
import numpy as np
from processors.looking.frames import read_frame, write_frame
import msgspec
out = sys.stdout.buffer
def answers(until=lambda texts: False):
    while True:
        texts = msgspec.msgpack.decode(read_frame(sys.stdin.buffer))
        if until(texts):
            return texts
        write_frame(out, np.array([[len(text), os.getpid()] for text in texts], np.float32).tobytes())
"""
HELLO = "write_frame(out, {'dimensions': 2})\n"
Start = Callable[..., ModelProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start programs that speak the protocol, up to where they go wrong."""
    started: list[ModelProcess] = []

    def make(program: str, start_seconds: float = 60.0, answer_seconds: float = 60.0) -> ModelProcess:
        file = tmp_path / "model.py"
        file.write_text(PROTOCOL + program)
        root = str(Path(__file__).parents[2])
        code = f"import sys, runpy; sys.path.insert(0, {root!r}); runpy.run_path({str(file)!r})"
        started.append(ModelProcess((sys.executable, "-c", code), start_seconds, answer_seconds))
        return started[-1]

    yield make
    for one in started:
        one.close()


def test_vectors_come_in_the_order_of_the_texts(start: Start) -> None:
    model = start(HELLO + "answers()")
    rows = model.vectors(["one", "three", ""])
    assert [float(row[0]) for row in rows] == [3, 5, 0]
    assert model.vectors(["more"])[0][1] == rows[0][1]  # the same process


def test_a_process_that_ends_is_told_of_and_another_is_started(start: Start) -> None:
    model = start(HELLO + "answers(lambda texts: texts == ['end']); sys.exit(3)")
    first = model.vectors(["a"])[0][1]
    with pytest.raises(ModelAwayError, match="exit status 3"):
        model.vectors(["end"])
    assert model.vectors(["a"])[0][1] != first


def test_a_process_that_hangs_is_killed(start: Start) -> None:
    model = start(HELLO + "answers(lambda texts: texts == ['hang']); time.sleep(600)", answer_seconds=2)
    model.vectors(["a"])
    with pytest.raises(ModelAwayError, match="exit status -9"):
        model.vectors(["hang"])


def test_a_process_that_reads_no_more_is_killed_too(start: Start) -> None:
    model = start(HELLO + "time.sleep(600)", answer_seconds=2)
    with pytest.raises(ModelAwayError, match="exit status -9"):
        model.vectors(["x" * 4_000_000])


def test_a_start_that_takes_too_long_is_given_up(start: Start) -> None:
    model = start("time.sleep(600)", start_seconds=1)
    with pytest.raises(ModelAwayError, match="exit status -9"):
        model.vectors(["a"])


def test_a_model_that_cannot_be_loaded_says_why(start: Start) -> None:
    model = start("write_frame(out, {'error': 'OSError', 'reason': 'no such model'})")
    with pytest.raises(ModelAwayError, match="no such model") as raised:
        model.vectors(["a"])
    assert raised.value.kind == "OSError"


@pytest.mark.parametrize(
    "nonsense",
    [
        "out.write(b'\\xff' * 64); out.flush(); time.sleep(600)",
        "write_frame(out, 'hello'); time.sleep(600)",
        HELLO + "read_frame(sys.stdin.buffer); write_frame(out, b'12345'); time.sleep(600)",
        HELLO + "read_frame(sys.stdin.buffer); write_frame(out, ['no', 'bytes']); time.sleep(600)",
    ],
)
def test_nonsense_is_no_answer(start: Start, nonsense: str) -> None:
    with pytest.raises(ModelAwayError):
        start(nonsense).vectors(["a"])


def test_what_the_package_cannot_do_without_is_said() -> None:
    """Run the real program on a folder that holds no model, whatever is installed here."""
    with pytest.raises(ModelAwayError) as raised:
        ModelProcess(command_for("/nowhere/at/all")).vectors(["a"])
    assert raised.value.kind not in ("", "EOFError")
