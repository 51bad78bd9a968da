"""The second look on a real bus, driven step by step, with a model of a test's choice."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import orjson
from stage_member import StageMember

from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Outgoing, Record
from collector.judging import read_back
from processors.looking.encodings import Encoder, Encodings
from processors.looking.verdicts import SOURCE
from processors.meaning.static_embedder import StaticEmbedder
from processors.second_look import SecondLookStage
from schemas.topics import DEAD_LETTERS, DETECTIONS, ESCALATIONS

PATIENCE_SECONDS = 60.0


class TableEncoder:
    """The packaged table in the place of the full model: real vectors, for what does not depend on how good they are.

    `asked` are the texts it was given, batch by batch.
    """

    def __init__(self) -> None:
        self._table = StaticEmbedder()
        self.asked: list[list[str]] = []

    def vectors(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.asked.append(list(texts))
        rows = np.stack([np.frombuffer(self._table.embed(text), np.int8) for text in texts]).astype(np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)

    def close(self) -> None:
        """Hold nothing."""


class LookingGlass:
    """The stage and what is on the bus; `encoder` None: there is no model."""

    def __init__(self, folder: Path, encoder: Encoder | None, memory_bytes: int = 32 << 20) -> None:
        self.bus = EmbeddedBus(folder / "bus", fsync=False)
        self._encoder, self._memory_bytes = encoder, memory_bytes
        self.stage = StageMember(self.bus, self._make)
        topics = [DETECTIONS, ESCALATIONS, DEAD_LETTERS]
        self._watch = self.bus.reader(topics)
        for topic in topics:
            self._watch.seek(topic, 0, 0)
        self.seen: list[Record] = []

    def _make(self) -> SecondLookStage:
        """Make the stage as a new process does, with an own way to the model."""
        encodings = Encodings(self._encoder) if self._encoder is not None else None
        return SecondLookStage(encodings, "a-model", self.bus.now_ns, self._memory_bytes, partial(read_back, self.bus))

    def publish(self, records: Sequence[Outgoing]) -> None:
        self.bus.publish(records).result()

    def until(self, true: Callable[[], bool]) -> None:
        """Go on until something holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not true():
            assert time.monotonic() < deadline, "it never came to hold"
            self.stage.step()
            time.sleep(0.002)

    def settle(self) -> None:
        """Go on until no look is open and all is read."""
        self.until(lambda: self.open_looks() == 0 and not any(self.stage.consumer.lag().values()))

    def open_looks(self) -> int:
        return self.stage.consumer.state.count("looks")

    def versions(self, detection: str = "", own: bool = False) -> list[dict[str, Any]]:
        """All versions published, by the version a reader would keep last; `own`: by the second look alone."""
        found = [
            orjson.loads(record.value)
            for record in self._records(DETECTIONS)
            if not own or record.headers["ce_source"] == SOURCE
        ]
        return sorted((one for one in found if detection in ("", one["id"])), key=lambda one: int(one["version"]))

    def latest(self, detection: str = "") -> dict[str, Any]:
        return self.versions(detection)[-1]

    def for_the_judge(self) -> list[dict[str, Any]]:
        """Give the detections handed on."""
        records = [one for one in self._records(ESCALATIONS) if one.headers["next_tier"] == b"judge"]
        return [msgspec.msgpack.decode(record.value)[1] for record in records]

    def dead_letters(self) -> list[Record]:
        return self._records(DEAD_LETTERS)

    def _records(self, topic: str) -> list[Record]:
        self.seen += self._watch.poll(10_000, timeout_seconds=0.0).records
        return [record for record in self.seen if record.topic == topic]

    def close(self) -> None:
        self.stage.consumer.close()
        self._watch.close()
        self.bus.close()


Open = Callable[..., LookingGlass]
