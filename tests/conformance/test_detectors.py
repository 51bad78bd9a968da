"""What every detector must obey, whatever it detects. Subjects are found by folder."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from generated_runs import as_first_seen, revised, runs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runtime_harness import Drive

import processors
from processors.detector import AnyDetector, Detector
from processors.meaning.static_embedder import StaticEmbedder
from processors.spending.model_catalogue import PricedModels
from schemas.detection import SEVERITIES
from schemas.step import KINDS, Step

FOLDER = Path(processors.__file__).parent
CATALOGUE = PricedModels()


EMBEDDER = StaticEmbedder()


def detector_classes() -> list[type[AnyDetector]]:
    modules = [importlib.import_module(f"processors.{path.stem}") for path in sorted(FOLDER.glob("*.py"))]
    classes = {cls for module in modules for _, cls in inspect.getmembers(module, inspect.isclass)}
    return sorted((cls for cls in classes if issubclass(cls, Detector) and not inspect.isabstract(cls)), key=_name)


def _name(cls: type[AnyDetector]) -> str:
    return cls.name


DETECTORS = detector_classes()


@pytest.fixture(params=DETECTORS, ids=[cls.name for cls in DETECTORS])
def detector(request: pytest.FixtureRequest) -> AnyDetector:
    cls: Any = request.param
    made: AnyDetector = cls(_config(cls), CATALOGUE, EMBEDDER)
    return made


def _config(cls: type[AnyDetector]) -> Any:
    budgets = {"budgets": {"run_usd": 0.5}} if "budgets" in cls.Config.model_fields else {}
    return cls.Config.model_validate(budgets)


def outcome(detector: AnyDetector, batches: list[list[Step]], cuts: set[int] = frozenset()) -> dict[str, Any]:  # type: ignore[assignment]
    drive = Drive([detector])
    for number, batch in enumerate(batches):
        drive.send(*batch)
        if number in cuts:
            drive.restart()
    drive.wait(4_000)
    assert [out for out in drive.other if out.topic == "dead_letters"] == []
    return drive.final()


def cut(steps: list[Step], random: Random) -> list[list[Step]]:
    batches = []
    while steps:
        size = random.randint(1, 7)
        batches.append(steps[:size])
        steps = steps[size:]
    return batches


def test_a_detectors_file_is_named_as_the_detector_is(detector: AnyDetector) -> None:
    assert Path(inspect.getfile(type(detector))).stem == detector.name


def test_defaults_are_valid_and_unknown_settings_are_refused(detector: AnyDetector) -> None:
    type(detector).Config()
    with pytest.raises(ValueError, match="nonsense"):
        type(detector).Config.model_validate({"nonsense": 1})


FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FEW
@given(runs())
def test_a_kind_of_step_it_does_not_read_says_nothing_to_it(detector: AnyDetector, steps: list[Step]) -> None:
    assert set(detector.kinds) <= set(KINDS)
    unread = [kind for kind in KINDS if kind not in detector.kinds]
    assert [detector.project(msgspec.structs.replace(step, kind=kind)) for step in steps for kind in unread] == [
        None for _ in steps for _ in unread
    ]


def test_an_empty_state_survives_msgpack(detector: AnyDetector) -> None:
    begun = detector.begin()
    data = msgspec.msgpack.encode(begun)
    assert msgspec.msgpack.encode(msgspec.msgpack.decode(data, type=type(begun))) == data


@FEW
@given(runs(), st.integers(0, 2**32))
def test_order_batches_and_cuts_change_nothing(detector: AnyDetector, steps: list[Step], seed: int) -> None:
    random = Random(seed)  # noqa: S311  # shuffles, no secrets
    expected = outcome(detector, [[step] for step in steps])
    shuffled = random.sample(steps, len(steps))
    batches = cut(shuffled, random)
    cuts = {number for number in range(len(batches)) if random.random() < 0.3}
    assert outcome(detector, batches, cuts) == expected


@FEW
@given(runs(), st.integers(0, 2**32))
def test_facts_that_come_late_change_nothing_in_the_end(detector: AnyDetector, steps: list[Step], seed: int) -> None:
    random = Random(seed)  # noqa: S311  # as above
    late = [step for step in steps if random.random() < 0.4]
    first = [as_first_seen(step) if step in late else step for step in steps]
    random.shuffle(late)
    batches = [*cut(first, random), *cut([revised(step) for step in late], random)]
    assert outcome(detector, batches) == outcome(detector, [[step] for step in steps])


@FEW
@given(runs(), st.integers(0, 2**32))
def test_a_retracted_step_leaves_no_trace(detector: AnyDetector, steps: list[Step], seed: int) -> None:
    random = Random(seed)  # noqa: S311  # as above
    gone = [step for step in steps if random.random() < 0.3]
    retractions = [msgspec.structs.replace(revised(step), retracted=True) for step in gone]
    kept = [step for step in steps if step not in gone]
    facts = [[step] for step in kept]
    assert outcome(detector, [steps, retractions]) == outcome(detector, facts)


@FEW
@given(runs())
def test_findings_are_well_formed(detector: AnyDetector, steps: list[Step]) -> None:
    spans = {step.span_id for step in steps}
    for document in outcome(detector, [[step] for step in steps]).values():
        assert document["severity"] in SEVERITIES
        assert 0 <= document["confidence"] <= 1
        assert 0 <= document["score"] <= 100
        assert document["tier"] in (1, 2, 3)
        assert document["title"]
        assert document["explanation"]
        assert document["evidence"]
        assert set(document["span_ids"]) <= spans
        assert len(document["span_ids"]) >= 1


@FEW
@given(runs())
def test_state_stays_bounded(detector: AnyDetector, steps: list[Step]) -> None:
    state = detector.begin()
    sizes: list[int] = []
    for lap in range(6):
        for step in steps:
            moved = msgspec.structs.replace(step, start_ns=step.start_ns + lap, span_id=f"{lap}{step.span_id[1:]}")
            item = detector.project(moved)
            if item is not None:
                detector.observe(state, _at(moved), item)
        sizes.append(len(msgspec.msgpack.encode(state)))
    assert sizes[-1] <= 64_000


def _at(step: Step) -> Any:
    from processors.detector import At
    from schemas.step import SpanRef

    return At(step.start_ns, step.end_ns, SpanRef(step.trace_id, step.span_id), step.agent)
