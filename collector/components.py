"""What there is to configure: receivers, processors, sinks and extensions, found by folder."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

import processors
from collector.judging import JUDGE
from collector.receivers.api_keys import ApiKeysConfig
from collector.receivers.otlp_config import OtlpReceiverConfig
from config.settings import ClickHouseHttpSettings, ClickHouseSinkSettings, WebhookSettings
from processors.detector import AnyDetector, Detector
from processors.embedding_similarity import EmbeddingSettings
from processors.judging.config import JudgeConfig
from processors.run_tracker import RUN_TRACKER, RunTrackerSettings


class Component(NamedTuple):
    """One thing that may stand in a configuration."""

    section: str
    kind: str
    settings: type[BaseModel]
    description: str


def detector_class(name: str) -> type[AnyDetector]:
    """Find the detector of a file in `processors/`; raises LookupError where the file holds none."""
    module = importlib.import_module(f"processors.{name}")
    for _, found in inspect.getmembers(module, inspect.isclass):
        if issubclass(found, Detector) and not inspect.isabstract(found) and getattr(found, "name", "") == name:
            return found
    raise LookupError(f"processors/{name}.py holds no detector named {name}")


def detector_names() -> list[str]:
    """List the detectors there are: files that define one."""
    folder = Path(processors.__file__).parent
    return sorted(
        path.stem for path in folder.glob("*.py") if f'\n    name = "{path.stem}"\n' in path.read_text("utf-8")
    )


def components() -> list[Component]:
    """List everything that may stand in a configuration."""
    found = [Component("receivers", "otlp", OtlpReceiverConfig, _first_line(OtlpReceiverConfig))]
    for name in detector_names():
        detector = detector_class(name)
        found.append(Component("processors", name, detector.Config, _first_line(detector)))
    found.append(Component("processors", JUDGE, JudgeConfig, _first_line(JudgeConfig)))
    found.append(Component("processors", RUN_TRACKER, RunTrackerSettings, _first_line(RunTrackerSettings)))
    made = _first_line(EmbeddingSettings)
    found.append(Component("processors", "embedding_similarity", EmbeddingSettings, made))
    found.append(Component("sinks", "clickhouse", ClickHouseSinkSettings, _first_line(ClickHouseSinkSettings)))
    found.append(Component("sinks", "webhook", WebhookSettings, _first_line(WebhookSettings)))
    found.append(Component("extensions", "api_keys", ApiKeysConfig, _first_line(ApiKeysConfig)))
    found.append(
        Component("extensions", "clickhouse_http", ClickHouseHttpSettings, _first_line(ClickHouseHttpSettings))
    )
    return found


def registry() -> dict[str, dict[str, type[BaseModel]]]:
    """Give the settings model of every component, by section and type."""
    sections: dict[str, dict[str, type[BaseModel]]] = {}
    for component in components():
        sections.setdefault(component.section, {})[component.kind] = component.settings
    return sections


def _first_line(cls: type) -> str:
    return (inspect.getdoc(cls) or "").split("\n", 1)[0]
