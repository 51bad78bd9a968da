"""`tracemend keys`: make an API key, or hash one that exists; the key is told once and kept nowhere."""

from __future__ import annotations

import sys

import orjson
import typer

from collector.cli.output import WrongUsage, check_format
from collector.receivers.api_keys import ApiKey, check_key, hash_of, new_key
from config.sources import dump


def make_key(tenant: str, format_: str) -> int:
    """Print a new key on standard error, and its entry for a file; returns the exit status."""
    key = new_key()
    return _print(key, _entry(tenant, key), format_)


def hash_key(tenant: str, format_: str) -> int:
    """Print the entry of a key read from standard input, where no shell keeps it; returns the exit status."""
    key = sys.stdin.readline(4_096).strip()
    try:
        check_key(key)
    except ValueError as error:
        raise WrongUsage(str(error)) from error
    return _print("", _entry(tenant, key), format_)


def _entry(tenant: str, key: str) -> dict[str, str]:
    try:
        entry = ApiKey(tenant=tenant, hash=hash_of(key))
    except ValueError as error:
        raise WrongUsage(
            f"{tenant!r} is no tenant's name: 1 to 128 characters, none of them control characters"
        ) from error
    return {"tenant": entry.tenant, "hash": entry.hash}


def _print(key: str, entry: dict[str, str], format_: str) -> int:
    check_format(format_, ("yaml", "json"))
    if format_ == "json":
        typer.echo(orjson.dumps({**({"key": key} if key else {}), **entry}).decode())
        return 0
    if key:
        typer.echo(f"the key, told this once: {key}", err=True)
    typer.echo(dump({"extensions": {"api_keys": {"keys": [entry]}}}), nl=False)
    return 0
