"""Keys of records and of state: parts percent-encoded and joined by `/`, the tenant first."""

from __future__ import annotations

from urllib.parse import quote, unquote

DEFAULT_TENANT = "default"


def join_key(*parts: str) -> str:
    """Build a key from its parts."""
    return "/".join(quote(part, safe="-._~:") for part in parts)


def split_key(key: str) -> tuple[str, ...]:
    """Take a key apart again."""
    return tuple(unquote(part) for part in key.split("/"))
