"""API keys: whose request it is, told by a key of which only the hash is kept.

Keys are long and random, so that one round of SHA-256 is all that is needed: nobody can try them out. A key that a
person made up would not be safe that way, hence the least length.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

SCHEME = "sha256:"
PREFIX = "tm_"
KEY_BYTES = 32
LEAST_CHARACTERS, MOST_CHARACTERS = 20, 512
MOST_KEYS = 10_000
BEARER, BASIC = "bearer", "basic"
CHALLENGE = 'Bearer realm="tracemend"'
NO_KEY = "an API key is needed: send it as `Authorization: Bearer KEY`, as `x-api-key: KEY`, or as a Basic password"


class ApiKey(BaseModel):
    """A tenant's key: its `hash` as `tracemend keys` prints it, or the `key` itself, as in `${env:ACME_KEY}`.

    A `key` is hashed as it is read, and is in no settings afterwards.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, hide_input_in_errors=True)

    tenant: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
    hash: Annotated[str, Field(pattern=r"^sha256:[0-9a-fA-F]{64}$")]

    @model_validator(mode="before")
    @classmethod
    def _hashed(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        key, known = value.get("key"), value.get("hash")
        if bool(key) == bool(known):
            raise ValueError("give exactly one of hash and key (is the environment variable of the key set?)")
        rest = {name: item for name, item in value.items() if name != "key"}
        if not key:
            return rest
        check_key(str(key))
        return {**rest, "hash": hash_of(str(key))}

    def digest(self) -> bytes:
        """Give the key's digest."""
        return bytes.fromhex(self.hash.removeprefix(SCHEME))


class ApiKeysConfig(BaseModel):
    """API keys, each of one tenant: with any, everything that comes in needs one, from this machine as well."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: Annotated[list[ApiKey], Field(max_length=MOST_KEYS)] = []

    @model_validator(mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return {"keys": value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _each_once(self) -> ApiKeysConfig:
        tenants: dict[bytes, str] = {}
        for one in self.keys:
            if tenants.setdefault(one.digest(), one.tenant) != one.tenant:
                raise ValueError(f"tenants {tenants[one.digest()]!r} and {one.tenant!r} have the same key")
        return self


class ApiKeys:
    """Knows keys by their digests. With none it asks for none."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self._tenants = [(one.digest(), one.tenant) for one in keys]
        self._seen: dict[bytes, str] = {}
        """What the comparison found before: proper keys only, so there are no more than those configured."""

    @property
    def needed(self) -> bool:
        """Say whether a request needs a key."""
        return bool(self._tenants)

    @property
    def tenants(self) -> frozenset[str]:
        """Name those who have keys."""
        return frozenset(tenant for _, tenant in self._tenants)

    def tenant(self, authorization: str | None, api_key: str | None) -> str | None:
        """Give the tenant of the first proper key among what a request brings; None where it brings none."""
        for key in (_presented(authorization), api_key):
            found = self._tenant_of(key) if key else None
            if found is not None:
                return found
        return None

    def _tenant_of(self, key: str) -> str | None:
        if len(key) > MOST_CHARACTERS:
            return None
        digest = digest_of(key)
        return self._seen.get(digest) or self._compared(digest)

    def _compared(self, digest: bytes) -> str | None:
        """Compare with every key there is, each in constant time, so that no timing tells how near one came."""
        found: str | None = None
        for known, tenant in self._tenants:
            if hmac.compare_digest(known, digest):
                found = tenant
        if found is not None:
            self._seen[digest] = found
        return found


def new_key() -> str:
    """Make a key of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(KEY_BYTES)


def hash_of(key: str) -> str:
    """Write a key's hash as it stands in a configuration."""
    return SCHEME + digest_of(key).hex()


def digest_of(key: str) -> bytes:
    """Digest a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def check_key(key: str) -> None:
    """Refuse what is no key; raises ValueError."""
    if not LEAST_CHARACTERS <= len(key) <= MOST_CHARACTERS or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError(
            f"a key has {LEAST_CHARACTERS} to {MOST_CHARACTERS} visible ASCII characters, and should be random: "
            "`tracemend keys new` makes one"
        )


def _presented(authorization: str | None) -> str:
    """Take the key out of an Authorization header: a bearer token, or the password of Basic."""
    scheme, _, value = (authorization or "").strip().partition(" ")
    if scheme.lower() == BEARER:
        return value.strip()
    return _password(value.strip()) if scheme.lower() == BASIC else ""


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded[: 4 * MOST_CHARACTERS], validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
