"""YAML with places: a document as plain values, and for every path in it the file and line it stands on.

Refused, each with its place: duplicate keys, keys that are no text, aliases (a few lines of them make gigabytes),
documents that are too deep or too large.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from config.expansion import ExpansionError, expand
from config.problems import Path, Place, Problem

LARGEST_BYTES = 1_048_576
DEEPEST = 24
TIMESTAMP = "tag:yaml.org,2002:timestamp"
UNREADABLE = (yaml.YAMLError, ValueError, LookupError)
"""What PyYAML raises for a scalar that is not what its tag says: `!!bool maybe` is a KeyError, `!!int x` no number."""


class Document:
    """A parsed document: its value, the place of every path, and what was wrong with it."""

    def __init__(self) -> None:
        self.value: Any = {}
        self.places: dict[Path, Place] = {}
        self.problems: list[Problem] = []


def parse(source: str, text: str, environment: Mapping[str, str]) -> Document:
    """Parse one document; `source` names it in problems."""
    document = Document()
    if len(text) > LARGEST_BYTES:
        document.problems.append(Problem(Place(source, 0), (), f"larger than {LARGEST_BYTES} bytes"))
        return document
    try:
        _refuse_aliases(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        document.problems.append(Problem(Place(source, line), (), f"not YAML: {error.problem or error.context}"))
        return document
    except yaml.YAMLError as error:
        document.problems.append(Problem(Place(source, 0), (), f"not YAML: {error}"))
        return document
    if root is not None:
        document.value = _Reader(source, environment, document).read(root, ())
    return document


def _refuse_aliases(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise _refused("aliases are not supported", event)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise _refused(f"nested more than {DEEPEST} deep", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _refused(reason: str, event: yaml.Event) -> yaml.MarkedYAMLError:
    mark: Any = event.start_mark
    return yaml.MarkedYAMLError(problem=reason, problem_mark=mark)


class _Reader:
    def __init__(self, source: str, environment: Mapping[str, str], document: Document) -> None:
        self._source = source
        self._environment = environment
        self._document = document

    def read(self, node: yaml.Node, path: Path) -> Any:
        self._document.places.setdefault(path, self._place(node))
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, str(index))) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _pairs(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, Any]]:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, path, "a key must be a name")
                continue
            key = key_node.value.strip()
            if key in seen:
                self._problem(key_node, (*path, key), f"duplicate key, already given on line {seen[key]}")
                continue
            seen[key] = key_node.start_mark.line + 1
            self._document.places[(*path, key)] = self._place(key_node)
            yield key, self.read(value_node, (*path, key))

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        text = str(node.value)
        if "$" not in text:
            return self._constructed(node, path)
        try:
            expanded = expand(text, self._environment)
        except ExpansionError as error:
            self._problem(node, path, str(error))
            return None
        if getattr(node, "style", None) is None and text.startswith("${") and expanded != text:
            return plain(expanded)
        return expanded

    def _constructed(self, node: yaml.Node, path: Path) -> Any:
        if node.tag == TIMESTAMP:
            return str(node.value)
        try:
            value = yaml.SafeLoader("").construct_object(node)
        except UNREADABLE:
            self._problem(node, path, f"{node.value!r} cannot be read as {node.tag}")
            return None
        return value if isinstance(value, str | int | float | bool) or value is None else str(node.value)

    def _problem(self, node: yaml.Node, path: Path, message: str) -> None:
        self._document.problems.append(Problem(self._place(node), path, message))

    def _place(self, node: yaml.Node) -> Place:
        return Place(self._source, node.start_mark.line + 1)


def plain(text: str) -> Any:
    """Read a text as the YAML scalar it would be; a text that is none stays a text."""
    try:
        value = yaml.safe_load(text) if text.strip() else text
    except UNREADABLE:
        return text
    return value if not isinstance(value, dict | list) else text
