"""Reads detections as they stand on their topic, whoever wrote them, into what healing needs of them."""

from __future__ import annotations

from typing import Literal

import msgspec

from collector.bus.protocol import Record
from healing.bounded_json import fits
from schemas.healing import Name, ProposedFix, SeenDetection, UnreadableDocument
from schemas.keys import DEFAULT_TENANT
from schemas.topics import TENANT_HEADER

EVIDENCE_BYTES = 16_384
PARAMETER_BYTES = 4_096
OMITTED = {"omitted": "the evidence is too large; see the detection"}


class PublishedDetection(SeenDetection, frozen=True, kw_only=True):
    """What healing reads of `tracemend.detection/1`, and whose it is."""

    schema: Literal["tracemend.detection/1"]
    tenant: Name
    service: Name | None
    agent: Name | None
    suggested_fix: ProposedFix | None

    def seen(self) -> SeenDetection:
        """Give the part that travels on with a request, its evidence cut to what is carried."""
        evidence = self.evidence if fits(self.evidence, EVIDENCE_BYTES) else OMITTED
        fields = {name: getattr(self, name) for name in SeenDetection.__struct_fields__}
        return SeenDetection(**{**fields, "evidence": evidence})


def read_detection(record: Record) -> PublishedDetection:
    """Read a record of `detections`; raises UnreadableDocument for what is none, or is another tenant's."""
    try:
        detection = msgspec.json.decode(record.value, type=PublishedDetection)
    except (ValueError, RecursionError) as error:
        raise UnreadableDocument(f"not a detection: {error}") from error
    fix = detection.suggested_fix
    if fix is not None and not fits(fix.parameters, PARAMETER_BYTES):
        raise UnreadableDocument("the fix's parameters are too large")
    check_tenant(record, detection.tenant)
    return detection


def check_tenant(record: Record, tenant: str) -> None:
    """Refuse a document that names another tenant than the one who sent it; raises UnreadableDocument."""
    sender = record.headers.get(TENANT_HEADER, DEFAULT_TENANT.encode())
    if sender != tenant.encode("utf-8", "replace"):
        raise UnreadableDocument("the record's tenant is not the document's")
