"""A home: the tenant, service and agent under whose key a healing and a policy stand, and who owns both."""

from __future__ import annotations

from typing import NamedTuple

from collector.bus.protocol import Record
from healing.published_detections import check_tenant
from schemas.healing import UnreadableDocument, healing_key
from schemas.keys import split_key


class Home(NamedTuple):
    """Empty strings stand for what nobody has said yet; an empty agent's policy is the whole service's."""

    tenant: str
    service: str
    agent: str

    @property
    def key(self) -> str:
        """The key its records and its policy stand under."""
        return healing_key(*self)

    def filled(self, service: str | None, agent: str | None) -> Home:
        """Fill in what was not known; what was known stays, so that a healing moves at most twice."""
        return Home(self.tenant, self.service or service or "", self.agent or agent or "")


def home_of(record: Record, tenant: str) -> Home:
    """Read a record's key; raises UnreadableDocument where it is not one of the tenant that sent it."""
    check_tenant(record, tenant)
    parts = split_key(record.key)
    if len(parts) != 3 or parts[0] != tenant:
        raise UnreadableDocument("the key is not tenant/service/agent")
    home = Home(*parts)
    if home.key != record.key:
        raise UnreadableDocument("the key is not written as keys are")
    return home
