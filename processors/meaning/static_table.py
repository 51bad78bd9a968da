"""The packaged table of token vectors: what a text is about, as the mean of its pieces' vectors.

Read on the first use. The table is mapped, not read, so that processes share it. `models/minilm_static_256/README.md`
says where it comes from; `deploy/models/distil_static_table.py` makes it again.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from processors.meaning.word_pieces import WordPieces

FOLDER = Path(__file__).parents[1] / "models" / "minilm_static_256"

Integers = npt.NDArray[np.int32]


class StaticTable:
    """A row of int8 for each word piece; the first dimensions tell the most."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._rows = _mapped(folder / "model.safetensors")
        self.pieces = WordPieces(orjson.loads((folder / "tokenizer.json").read_bytes())["model"]["vocab"])

    def total(self, pieces: Sequence[int]) -> Integers:
        """Add up the rows of a text's pieces; zeros for none. One number a dimension, exact whatever the order."""
        total: Integers = np.add.reduce(self._rows.take(pieces, axis=0), axis=0, dtype=np.int32)
        return total


def _mapped(path: Path) -> npt.NDArray[np.int8]:
    """Map the one tensor of a safetensors file: eight bytes of length, a JSON header, the numbers."""
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        tensor = orjson.loads(file.read(size))["embeddings"]
    if tensor["dtype"] != "I8":
        raise ValueError(f"{path}: holds {tensor['dtype']} numbers where I8 is read; make the table again")
    begin, _ = tensor["data_offsets"]
    return np.asarray(np.memmap(path, np.int8, "r", 8 + size + begin, tuple(tensor["shape"])))
