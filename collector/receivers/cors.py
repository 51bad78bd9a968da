"""Web pages that may send: cross-origin requests, allowed by the pages' origins.

https://fetch.spec.whatwg.org/#http-cors-protocol. Where every origin is allowed (`*`), browsers are not told that they
may send cookies or passwords along.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

ANY = "*"
ALWAYS_ALLOWED = ("accept", "content-type", "content-encoding", "x-requested-with")
"""Headers a page may always send: no exporter can do without them."""
LONGEST_ORIGIN = 512


class CorsConfig(BaseModel):
    """Origins whose pages may send (`https://*.example.com`, `*`), further headers, and how long to remember it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    allowed_origins: list[str] = []
    allowed_headers: list[str] = []
    exposed_headers: list[str] = []
    max_age: Annotated[int, Field(ge=0)] = 0


class Cors:
    """Decides what a page is told."""

    def __init__(self, config: CorsConfig) -> None:
        self._config = config
        self._origins = [origin.lower() for origin in config.allowed_origins]
        self._headers = {*ALWAYS_ALLOWED, *(header.lower() for header in config.allowed_headers)}
        self.on = bool(self._origins)

    def answer_headers(self, origin: str | None) -> dict[str, str]:
        """Give what every answer says to a page of that origin; nothing where it is not allowed."""
        allowed = self._allowed(origin)
        if not allowed:
            return {"Vary": "Origin"} if self.on else {}
        headers = {"Access-Control-Allow-Origin": allowed, "Vary": "Origin"}
        if allowed != ANY:
            headers["Access-Control-Allow-Credentials"] = "true"
        if self._config.exposed_headers:
            headers["Access-Control-Expose-Headers"] = ", ".join(self._config.exposed_headers)
        return headers

    def preflight_headers(self, origin: str | None, asked: Mapping[str, str]) -> dict[str, str]:
        """Give what a browser is told that asks before it sends."""
        headers = self.answer_headers(origin)
        if "Access-Control-Allow-Origin" not in headers:
            return headers
        wanted = [name.strip() for name in asked.get("Access-Control-Request-Headers", "").split(",") if name.strip()]
        headers["Access-Control-Allow-Methods"] = "POST"
        allowed = [name for name in wanted if ANY in self._headers or name.lower() in self._headers]
        if allowed:
            headers["Access-Control-Allow-Headers"] = ", ".join(allowed)
        if self._config.max_age:
            headers["Access-Control-Max-Age"] = str(self._config.max_age)
        return headers

    def _allowed(self, origin: str | None) -> str:
        if not self.on or not origin or len(origin) > LONGEST_ORIGIN:
            return ""
        if ANY in self._origins:
            return ANY
        return origin if any(_fits(origin.lower(), pattern) for pattern in self._origins) else ""


def _fits(origin: str, pattern: str) -> bool:
    """Match with `*` as the only wildcard."""
    return fnmatchcase(origin, pattern.replace("[", "[[]").replace("?", "[?]"))
