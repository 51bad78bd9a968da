"""What a span says, by field: the best value of each, whatever attribute it stands in."""

from __future__ import annotations

from typing import Any

from collector.normalise.attributes import SpanView
from collector.normalise.shapes import Shape
from collector.normalise.sources import METADATA
from collector.normalise.unwrap import parsed, text_of
from schemas.step import NAME_CAP


class SpanFields:
    """One span's values. `own` are those its dialect reads in a way no table can say, which are in `found` too.

    `metadata` is OpenInference's JSON of that name, where names stand that no attribute has.
    """

    __slots__ = ("_input", "found", "kind", "metadata", "own", "shape", "view")

    def __init__(self, view: SpanView, shape: Shape, kind: str) -> None:
        self.view, self.shape, self.kind = view, shape, kind
        self.found = found = shape.find(view.attributes)
        self.own = own = shape.dialect.read(view)
        if own:
            found.update((field, value) for field, value in own.items() if value is not None)
        self.metadata = _metadata(view.attributes["metadata"]) if shape.has_metadata else {}
        self._input: Any = None

    def text(self, field: str) -> str:
        """Read a name: what the dialect says itself, its own sources, the shared ones, then the metadata."""
        value = self.found.get(field)
        ignored = self.shape.dialect.ignored
        if value is None or (ignored and type(value) is str and value in ignored.get(field, ())):
            if not self.metadata:
                return ""
            value = next((self.metadata[key] for key in METADATA.get(field, ()) if self.metadata.get(key)), None)
        return value[:NAME_CAP] if type(value) is str else text_of(value)[:NAME_CAP]

    def first(self, *fields: str) -> Any:
        """Give the first of these fields that has a value."""
        for field in fields:
            value = self.found.get(field)
            if value is not None:
                return value
        return None

    def input(self) -> Any:
        """Read what came in, once: a graph's node has its state there too."""
        if self._input is None:
            self._input = parsed(self.found["input"])
        return self._input


def _metadata(value: Any) -> dict[str, Any]:
    read = parsed(value)
    return read if isinstance(read, dict) else {}
