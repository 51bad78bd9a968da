"""What a span's attribute names say under its scope, before any value is looked at: worked out once, then looked up.

An instrument sends few sets of names, so that dialect, sources of every field and places of flattened messages are
found once a set. The cache is bounded in sets and in names; a set too large for it is worked out each time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from collector.normalise.attributes import Attributes
from collector.normalise.dialects.dialect import Dialect
from collector.normalise.dialects.recognise import dialect_of
from collector.normalise.failures import OF_A_FAILURE
from collector.normalise.flattened import FlatMessage, flat_messages
from collector.normalise.kinds import EXPLICIT
from collector.normalise.sources import FIELDS, FLAT_INPUT, FLAT_OUTPUT, GENAI_PREFIXES, METRIC, Sources
from collector.normalise.usage import COUNTS

HANDED_DOWN = ("conversation", "user")
OF_A_CALL = frozenset({"provider", "model", "response_id", "finish", "cost", "max_tokens"}) | COUNTS
"""Fields that only a model call has."""
SHAPES_CAP = 2_048
NAMES_CAP = 256
"""Names in a set that is remembered."""
NAME_LENGTH_CAP = 256
"""Characters of a name, or of the scope, in a set that is remembered."""


class Shape:
    """A set of attribute names under a scope.

    `sources` are the names that are there for each field, the best first; `handed_down` those of the fields that a
    span hands down which is no step, as every dialect reads them. `tells_call` and `tells_failure`: whether any name
    says something of a model call, or that something failed.
    """

    __slots__ = (
        "about_agents",
        "dialect",
        "explicit",
        "handed_down",
        "has_metadata",
        "heard",
        "metrics",
        "names",
        "sources",
        "spoke",
        "tells_call",
        "tells_failure",
    )

    def __init__(self, scope: str, names: tuple[str, ...]) -> None:
        self.names = known = frozenset(names)
        self.dialect: Dialect = dialect_of(scope, names)
        self.about_agents = any(name.startswith(GENAI_PREFIXES) for name in names)
        self.explicit = tuple((name, kinds) for name, kinds in EXPLICIT if name in known)
        self.sources = tuple(_present(self.dialect.sources, known))
        self.tells_call = any(field in OF_A_CALL for field, _ in self.sources)
        self.tells_failure = not known.isdisjoint(OF_A_FAILURE)
        self.has_metadata = "metadata" in known
        self.handed_down = tuple(_present({field: FIELDS[field] for field in HANDED_DOWN}, known))
        self.metrics = tuple(name for name in names if name.startswith(METRIC))
        self.heard = _first_layout(names, FLAT_INPUT)
        self.spoke = _first_layout(names, FLAT_OUTPUT)

    def find(self, attributes: Attributes) -> dict[str, Any]:
        """Give the best value of every field; an empty value is none."""
        found: dict[str, Any] = {}
        for field, sources in self.sources:
            for source in sources:
                value = attributes[source]
                if value or value == 0:
                    found[field] = value
                    break
        return found


_known: OrderedDict[tuple[str, tuple[str, ...]], Shape] = OrderedDict()


def shape_of(scope: str, attributes: Attributes) -> Shape:
    """Give the shape of a span, a pure function of scope and names; the cache belongs to the normaliser's thread."""
    key = (scope, tuple(attributes))
    shape = _known.get(key)
    if shape is None:
        shape = Shape(*key)
        if len(key[1]) <= NAMES_CAP and all(len(text) <= NAME_LENGTH_CAP for text in (scope, *key[1])):
            _known[key] = shape
            if len(_known) > SHAPES_CAP:
                _known.popitem(last=False)
    return shape


def _present(sources: Mapping[str, Sources], names: frozenset[str]) -> Iterable[tuple[str, Sources]]:
    for field, all_of_it in sources.items():
        there = tuple(name for name in all_of_it if name in names)
        if there:
            yield field, there


def _first_layout(names: tuple[str, ...], prefixes: Sources) -> tuple[FlatMessage, ...]:
    return next((found for prefix in prefixes if (found := flat_messages(names, prefix))), ())
