"""The full model: sentence-transformers with a local all-MiniLM-L6-v2, as a program that turns texts into vectors.

It is a process of its own: the package takes seconds to start and a gigabyte (measured), and whatever becomes of it,
the pipeline goes on. `python -m processors.looking.full_model FOLDER` says what it is, then answers each list of
texts with as many vectors, and ends with its input. It runs on a GPU where torch finds one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from processors.looking.frames import read_frame, write_frame

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = npt.NDArray[np.float32]

BATCH_TEXTS = 32
NICENESS = 10
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
}
"""Nothing is fetched, nothing drawn, and no threads beside torch's."""

_texts = msgspec.msgpack.Decoder(list[str]).decode


class FullModel:
    """A sentence-transformers model of a folder. Texts that are longer than it reads are cut into passages."""

    def __init__(self, folder: str) -> None:
        os.environ.update(OFFLINE)
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(1)  # the other cores are the pipeline's
        self._model: SentenceTransformer = SentenceTransformer(folder, local_files_only=True)
        self._read = int(self._model.max_seq_length or 256) - 2
        """Tokens of a passage, beside the two that stand around it."""

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""
        return len(self.vectors(["one"])[0])

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Give a vector of length one for each text; that of a long one is the mean of its passages'."""
        cut = [list(self._passages(text)) for text in texts]
        rows = self._model.encode(
            [passage for passages in cut for passage in passages],
            batch_size=BATCH_TEXTS,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        ends = np.cumsum([len(passages) for passages in cut])
        parts = np.split(np.asarray(rows, np.float32), ends[:-1])
        return np.stack([part[0] if len(part) == 1 else _unit(part.sum(axis=0)) for part in parts])

    def _passages(self, text: str) -> Iterator[str]:
        """Cut a text where the model would stop reading; nothing is left out."""
        tokenizer: Any = self._model.tokenizer
        places = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
        if len(places) <= self._read:
            yield text
            return
        for first in range(0, len(places), self._read):
            last = min(first + self._read, len(places)) - 1
            yield text[places[first][0] : places[last][1]]


def _unit(vector: Vectors) -> Vectors:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), np.float32)


def main(folder: str) -> int:
    """Answer until the input ends; what is printed by others meanwhile goes where errors go."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.nice(NICENESS)
    try:
        model = FullModel(folder)
        write_frame(answers, {"dimensions": model.dimensions})
    except Exception as error:  # noqa: BLE001  # told to who started this, which counts it
        write_frame(answers, {"error": type(error).__name__, "reason": str(error)[:500]})
        return 1
    while True:
        try:
            texts = _texts(read_frame(sys.stdin.buffer))
        except EOFError:
            return 0
        write_frame(answers, model.vectors(texts).tobytes())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
