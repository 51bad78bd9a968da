"""Canonical JSON and the hashes taken of it: the same value gives the same bytes, whatever wrote it."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import xxhash

_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


def canonical(value: Any) -> bytes:
    """Write a JSON value with sorted keys and no spaces; what JSON cannot hold is written as its `str`."""
    try:
        return orjson.dumps(value, default=str, option=_OPTIONS)
    except (orjson.JSONEncodeError, RecursionError):
        return orjson.dumps(str(value)[:65_536].encode("utf-8", "replace").decode("utf-8"))


def content_hash(data: bytes) -> str:
    """Fingerprint bytes: xxh3-64 as 16 hex digits. Not for secrets."""
    return xxhash.xxh3_64_hexdigest(data)


def value_hash(value: Any) -> str:
    """Fingerprint a JSON value independently of key order."""
    return content_hash(canonical(value))


def state_hash(state: Any) -> str:
    """Hash a state: SHA-256 of its canonical JSON, first 16 hex digits."""
    return canonical_hash(canonical(state))


def canonical_hash(data: bytes) -> str:
    """Hash a state that is written as canonical JSON already, as `state_hash` does."""
    return hashlib.sha256(data).hexdigest()[:16]
