"""Which errors of the engine mean that what it read is damaged, and which that it could not read now."""

from __future__ import annotations

import re

from sinks.store import StoreError

CODE = re.compile(r"Code: (\d+)\.")
NOT_DAMAGE = frozenset({60, 159, 173, 202, 241, 243, 252, 394, 439})
"""No such table, out of time, memory, queries, disk or threads: not what is wrong with a part."""


def is_damage(error: StoreError) -> bool:
    """Say whether a statement that reads one part failed for what the part is."""
    found = CODE.search(str(error))
    return found is not None and int(found[1]) not in NOT_DAMAGE and "No space left" not in str(error)
