"""From a merged document to settings: every problem it has, each with its place and the nearest valid name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError

from config.problems import ConfigError, Path, Problem, nearest
from config.settings import BusSettings, HealingSettings, ModelSettings, ServiceSettings, Settings
from config.sources import place_of
from config.yaml_dialect import Document

COMPONENTS = ("receivers", "processors", "sinks", "extensions")
SECTIONS = (*COMPONENTS, "healing", "bus", "models", "service")
CALLED_HERE = {"exporters": "called sinks here", "connectors": "there are no connectors: processors read topics"}

Registry = Mapping[str, Mapping[str, type[BaseModel]]]
"""Per section, the component types there are, and the model of each one's settings."""

Check = Callable[[Settings], Iterable[tuple[Path, str]]]
"""Finds what is wrong with parts that are right each by itself: a path, and what to do."""


def validate(document: Document, registry: Registry, *checks: Check) -> Settings:
    """Check a document and build settings from it; raises ConfigError with everything that is wrong."""
    settings = _Validation(document, registry).run()
    wrong = [Problem(place_of(document, path), path, text) for check in checks for path, text in check(settings)]
    if wrong:
        raise ConfigError(wrong)
    return settings


class _Validation:
    def __init__(self, document: Document, registry: Registry) -> None:
        self._document = document
        self._root = document.value if isinstance(document.value, dict) else {}
        self._registry = registry
        self._problems = list(document.problems)

    def run(self) -> Settings:
        self._unknown_sections()
        found = {section: self._components(section) for section in COMPONENTS}
        service = self._model(ServiceSettings, ("service",))
        bus = self._model(BusSettings, ("bus",))
        healing = self._model(HealingSettings, ("healing",))
        models = self._models()
        if bus is not None:
            self._one_bus(bus)
        if service is not None:
            self._references(service, found)
        if self._problems or service is None or bus is None or healing is None:
            raise ConfigError(sorted(set(self._problems), key=lambda problem: (problem.place, problem.path)))
        return Settings(service, bus, healing, models, **found)

    def _unknown_sections(self) -> None:
        for section in self._root:
            if section not in SECTIONS:
                hint = CALLED_HERE.get(section) or nearest(section, SECTIONS)
                self._problem((section,), f"unknown section; {hint}")

    def _section(self, section: str) -> dict[str, Any]:
        value = self._root.get(section)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._problem((section,), "must be a mapping")
            return {}
        return value

    def _components(self, section: str) -> dict[str, Any]:
        known = self._registry[section]
        built: dict[str, Any] = {}
        for name in self._section(section):
            kind = name.split("/", 1)[0].strip()
            if name.endswith("/"):
                self._problem((section, name), "the part after / must not be empty")
            elif kind not in known:
                self._problem((section, name), f"unknown type {kind!r}; {nearest(kind, known)}")
            else:
                built[name] = self._model(known[kind], (section, name))
        return built

    def _models(self) -> dict[str, ModelSettings]:
        made = {name: self._model(ModelSettings, ("models", name)) for name in self._section("models")}
        return {name: model for name, model in made.items() if model is not None}

    def _model(self, model: type[Any], path: Path) -> Any:
        value: Any = self._root
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        try:
            return model.model_validate(_without_empty(value, model) if value is not None else {})
        except ValidationError as error:
            for detail in error.errors():
                self._from_pydantic(model, path, detail)
            return None

    def _from_pydantic(self, model: type[BaseModel], path: Path, detail: Any) -> None:
        below = tuple(str(part) for part in detail["loc"])
        if detail["type"] == "extra_forbidden":
            known = _fields_at(model, below[:-1])
            self._problem((*path, *below), f"unknown key {below[-1]!r}; {nearest(below[-1], known)}")
            return
        message = detail["msg"].removeprefix("Value error, ")
        given = detail.get("input")
        shown = f" (given: {given!r})" if isinstance(given, str | int | float | bool) else ""
        self._problem((*path, *below), f"{message[:1].lower()}{message[1:]}{shown}")

    def _one_bus(self, bus: BusSettings) -> None:
        if bus.kafka is not None and bus.embedded is not None:
            self._problem(("bus",), "give exactly one of embedded and kafka")

    def _references(self, service: ServiceSettings, found: Mapping[str, Mapping[str, Any]]) -> None:
        for name, pipeline in service.pipelines.items():
            for section in ("receivers", "processors", "sinks"):
                for index, wanted in enumerate(getattr(pipeline, section)):
                    if wanted not in found[section]:
                        path = ("service", "pipelines", name, section, str(index))
                        hint = nearest(wanted, found[section])
                        self._problem(path, f"{wanted!r} is not configured under {section}; {hint}")

    def _problem(self, path: Path, message: str) -> None:
        self._problems.append(Problem(place_of(self._document, path), path, message))


def _without_empty(value: Any, model: Any) -> Any:
    """Read `grpc:` as its defaults where a section is expected, and as not given where a plain value is."""
    if not isinstance(value, dict) or not _is_model(model):
        return value
    kept: dict[str, Any] = {}
    for key, item in value.items():
        annotation = model.model_fields[key].annotation if key in model.model_fields else None
        inner = _model_in(annotation)
        if get_origin(annotation) is dict and isinstance(item, dict):
            kept[key] = {name: _without_empty({} if one is None else one, inner) for name, one in item.items()}
        elif item is not None or key not in model.model_fields:
            kept[key] = _without_empty(item, inner)
        elif inner is not None:
            kept[key] = {}
    return kept


def _fields_at(model: type[BaseModel], below: Path) -> list[str]:
    """List the fields a model has at a path below it."""
    current: Any = model
    for part in below:
        current = _model_in(current.model_fields[part].annotation) if _has(current, part) else _model_in(current)
    return list(current.model_fields) if _is_model(current) else []


def _has(model: Any, field: str) -> bool:
    return _is_model(model) and field in model.model_fields


def _is_model(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, BaseModel)


def _model_in(annotation: Any) -> Any:
    """Find the model in `Model | None`, `dict[str, Model]` and the like."""
    if _is_model(annotation):
        return annotation
    inner = [_model_in(part) for part in getattr(annotation, "__args__", ())]
    return next((part for part in inner if _is_model(part)), None)
