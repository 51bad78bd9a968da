"""The contract of a detector: pure, bounded, one file, one YAML entry, one test.

A detector is a fold over the steps of one run in their order, (start time, span id).
The runtime feeds it, keeps its state, rewinds it when a step arrives late, is revised or is retracted,
and turns its findings into detections. Therefore a detector has no clock, no I/O, no randomness, no logging,
keeps all its memory in `State`, and never imports another detector.
After bytewax's `StatefulLogic` (an item goes in, what to emit comes out) and river's one-file drift detectors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict

from schemas.detection import Finding
from schemas.step import KINDS, SpanRef, Step, Usage


class DetectorConfig(BaseModel):
    """Settings of a detector as they stand under `processors::NAME`; each has a default and a unit in its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True


class At(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where an item stands in its run. `agent` is empty as long as nobody has said whose step it is."""

    start_ns: int
    end_ns: int
    span: SpanRef
    agent: str = ""


class ModelCatalogue(Protocol):
    """What is known about models. Pure: answers depend on the arguments alone."""

    def cost_usd(self, model: str, provider: str, usage: Usage, at_ns: int) -> float | None:
        """Price one call; None for a model nobody has a price for."""

    def context_window(self, model: str, provider: str) -> int | None:
        """Tokens the model takes; None where unknown."""


class Embedder(Protocol):
    """What texts are about, as vectors of int8 numbers (`processors/meaning/vectors.py` compares them). Pure."""

    def embed(self, text: str) -> bytes:
        """Give the vector of a whole text; empty where it has no words."""

    def passages(self, text: str) -> tuple[bytes, ...]:
        """Give a vector for each passage of a text; a short text is one passage."""

    def coverage(self, of: str, by: str, apart: str = "") -> tuple[float, int, int]:
        """Say how much of what a text speaks of another speaks of too, and how many words of either that rests on.

        Words near to those of `apart` are not counted of the first.
        """

    def nearest(self, of: str, by: str) -> list[float]:
        """Say for each distinct word of content of a text how near the other comes to it, 0 to 1."""


ConfigT = TypeVar("ConfigT", bound=DetectorConfig)
ItemT = TypeVar("ItemT", bound=msgspec.Struct)
StateT = TypeVar("StateT", bound=msgspec.Struct)


class Detector(ABC, Generic[ConfigT, ItemT, StateT]):
    """A pure fold over the steps of one run.

    `Item` is all that is remembered of a step while it may still be reordered: array_like, small, hashes before texts.
    `State` is the fold's memory: a mutable array_like Struct whose size is bounded whatever the run's length,
    that survives msgpack there and back unchanged.
    Bump `version` when the same steps would give other findings; a stored state of another version is dropped.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    Config: ClassVar[type[DetectorConfig]]
    Item: ClassVar[type[msgspec.Struct]]
    State: ClassVar[type[msgspec.Struct]]
    kinds: ClassVar[Sequence[str]] = KINDS
    """Kinds of steps it reads: `project` is asked about no other, for which it must say None."""
    by_agent: ClassVar[bool] = False
    """True where `At.agent` changes what is found: the runtime then rewinds when a name arrives late."""

    reads_vectors: ClassVar[bool] = False
    """True where `project` asks what texts are about: tier three, which runs as a group of its own."""

    def __init__(self, config: ConfigT, models: ModelCatalogue, embedder: Embedder | None = None) -> None:
        self.config = config
        self.models = models
        if embedder is None and self.reads_vectors:
            raise ValueError(f"{self.name} reads vectors: make it with an embedder")
        self._embedder = embedder

    @property
    def embedder(self) -> Embedder:
        """Give what makes vectors; for `project` of a detector that reads them."""
        if self._embedder is None:
            raise LookupError(f"{self.name} asked for vectors and does not say so in `reads_vectors`")
        return self._embedder

    @abstractmethod
    def project(self, step: Step) -> ItemT | None:
        """Reduce a step to what this detector remembers of it; None if it says nothing to it."""

    @abstractmethod
    def begin(self) -> StateT:
        """Make the state of a run that has shown nothing yet."""

    @abstractmethod
    def observe(self, state: StateT, at: At, item: ItemT) -> Sequence[Finding]:
        """Take the next item, change `state` in place, and return the episodes that began, changed or closed.

        An episode is returned whenever its figures change; `Finding.stage` says what is worth publishing.
        Cost must not depend on how many items came before.
        """

    def deadline(self, state: StateT) -> int | None:  # noqa: ARG002  # for subclasses
        """Say at which bus time (ns) to be woken if nothing comes; None for never."""
        return None

    def on_deadline(self, state: StateT, now_ns: int) -> Sequence[Finding]:  # noqa: ARG002  # as above
        """Wake up after the deadline; change `state` so that the deadline moves on, and return what that shows."""
        return ()

    def finish(self, state: StateT) -> Sequence[Finding]:  # noqa: ARG002  # as above
        """Return the episodes whose figures change because the run ended; the runtime closes the open ones."""
        return ()


AnyDetector = Detector[Any, Any, Any]
