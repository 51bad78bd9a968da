"""From a verdict to what readers see: which version is published when, over what, and who is to look next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from processors.judging.reading import JUDGE
from processors.judging.rulings import UNSURE, detection_record, escalation_record, is_live, is_sure, ruling_of
from processors.judging.sitting import Sitting
from processors.looking.register import Register
from processors.looking.verdicts import SOURCE, Verdict, key_of, under
from processors.runs.publishing import Versions
from schemas.metrics import SECOND_LOOKS

PASSED_ON = "passed_on"


class Telling:
    """Publishes what second looks found, keeps it standing, and hands on what they settled nothing about."""

    def __init__(self, register: Register, clock_ns: Callable[[], int]) -> None:
        self._register = register
        self._clock_ns = clock_ns
        self._versions = Versions()

    def conclude(self, document: dict[str, Any], verdict: Verdict, sitting: Sitting) -> None:
        """End a look: tell its detection again under the verdict, and hand it on where that leaves it grey."""
        key = key_of(document)
        self._register.drop(key)
        known = self._register.verdict(key, sitting.state)
        if not is_live(document) or is_sure(document):
            self.uphold(document, sitting)
            return
        above = max(document["version"], known.version if known else 0)
        told_already = known is not None and known.content == verdict.content and known.seen >= document["version"]
        version = above if told_already else self._versions.next(sitting.now_ns, above)
        looked = under(verdict, document, version, self._clock_ns())
        found = ruling_of(looked["confidence"])
        SECOND_LOOKS.labels(outcome=found, reason="").inc()
        if not told_already:
            sitting.outputs.append(detection_record(looked, SOURCE))
            kept = msgspec.structs.replace(verdict, version=version, seen=document["version"])
            self._register.find(key, kept, sitting.now_ns)
        if found == UNSURE:
            sitting.outputs.append(escalation_record(looked, JUDGE))

    def pass_on(self, document: dict[str, Any], reason: str, sitting: Sitting) -> None:
        """Hand a grey detection on without a look, under what an earlier one found where there was one."""
        key = key_of(document)
        known = self._register.verdict(key, sitting.state)
        if known is not None and not known.is_judged:
            self.conclude(document, known, sitting)
            return
        self._register.drop(key)
        if not is_live(document) or is_sure(document):
            return  # told otherwise while it waited
        SECOND_LOOKS.labels(outcome=PASSED_ON, reason=reason).inc()
        sitting.outputs.append(escalation_record(document, JUDGE))

    def uphold(self, document: dict[str, Any], sitting: Sitting) -> None:
        """Lay the verdict on a detection, if there is one, over what its detector tells now."""
        key = key_of(document)
        known = self._register.verdict(key, sitting.state)
        if known is None or known.is_judged or document["version"] <= known.seen:
            return
        if is_live(document) and not is_sure(document):
            version = self._versions.next(sitting.now_ns, max(known.version, document["version"]))
            looked = under(known, document, version, self._clock_ns())
            sitting.outputs.append(detection_record(looked, SOURCE))
            kept = msgspec.structs.replace(known, version=version, seen=document["version"])
            self._register.find(key, kept, sitting.now_ns)
            return
        self._register.find(key, None, sitting.now_ns)
        if document["version"] <= known.version:  # told before it could know of the verdict
            version = self._versions.next(sitting.now_ns, known.version)
            sitting.outputs.append(detection_record({**document, "version": version}, SOURCE))

    def give_up(self, document: dict[str, Any], sitting: Sitting) -> None:
        """Leave a detection to the higher tier that has ruled on it."""
        key = key_of(document)
        self._register.drop(key)
        self._register.find(key, Verdict(version=document["version"], is_judged=True), sitting.now_ns)
