"""The names under which a price list may know a model: what gateways, regions and dates put around it taken off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

MODEL_NAME_CAP = 128
"""Characters of a model's name that are looked at; no real one comes near."""

FRAMEWORKS = frozenset(
    {
        "autogen",
        "crewai",
        "function",
        "gcp.vertex.agent",
        "langchain",
        "langgraph",
        "litellm",
        "microsoft.agent_framework",
        "semantic_kernel",
        "strands-agents",
    }
)
"""Provider values that name what called the model, not who serves it."""

PROVIDER_ALIASES = {"azure.ai.inference": "azure", "gcp.gen_ai": "google", "x_ai": "x-ai"}
"""Provider values of the semantic conventions that the price list's own rules miss."""

REGIONS = frozenset({"af", "apac", "au", "ca", "eu", "global", "jp", "me", "sa", "us", "us-gov"})
"""What Bedrock puts in front of a model that it serves across regions."""

BEDROCK_VENDORS = frozenset(
    {"ai21", "amazon", "anthropic", "cohere", "deepseek", "google", "meta", "mistral", "openai", "qwen", "writer"}
)


class Reference(NamedTuple):
    """One way to look a model up: under a provider's name, or (None) wherever its name is known."""

    provider: str | None
    name: str


def serving_provider(provider: str) -> str:
    """Say who serves the model by a span's provider value; empty where it names only a framework."""
    name = provider.strip().lower()[:MODEL_NAME_CAP]
    return "" if name in FRAMEWORKS else PROVIDER_ALIASES.get(name, name)


def bare_names(model: str) -> tuple[str, ...]:
    """List a model's possible names, as it stands first, the most stripped last."""
    name = model.strip().lower()[:MODEL_NAME_CAP]
    return tuple(dict.fromkeys(candidate for candidate in _stripped(name) if candidate))


def references(model: str, provider: str) -> Iterator[Reference]:
    """List the lookups to try for a model, the most trustworthy first."""
    names = bare_names(model)
    served_by = serving_provider(provider)
    hint = _provider_hint(names[0]) if names else None
    for source in dict.fromkeys(who for who in (served_by, hint) if who):
        yield from (Reference(source, name) for name in names)
    yield from (Reference(None, name) for name in names)


def _stripped(name: str) -> Iterator[str]:
    yield name
    name = name.rsplit("/", 1)[-1]  # `models/x`, `openai/x`, a Bedrock ARN, a Vertex resource path
    yield name
    name = name.split(":")[1] if name.startswith("ft:") else name
    yield name
    name = _without_region(name)
    yield name
    vendor, _, rest = name.partition(".")
    name = rest if vendor in BEDROCK_VENDORS else name
    yield name
    name = name.partition("@")[0]
    yield name
    name = _without_bedrock_version(name)
    yield name
    yield _without_date(name)


def _provider_hint(name: str) -> str | None:
    """Read off a name who serves it: a gateway's path, a fine-tuned model's prefix, a Bedrock id."""
    if name.startswith("ft:"):
        return "openai"
    head, slash, _ = name.partition("/")
    if slash and head != "models":
        return PROVIDER_ALIASES.get(head, head)
    return "aws" if _without_region(name).partition(".")[0] in BEDROCK_VENDORS else None


def _without_region(name: str) -> str:
    region, _, rest = name.partition(".")
    return rest if region in REGIONS and rest else name


def _without_bedrock_version(name: str) -> str:
    """Take `-v2:0` off."""
    head, colon, revision = name.rpartition(":")
    if not (colon and revision.isdigit()):
        return name
    stem, dash, version = head.rpartition("-v")
    return stem if dash and version.isdigit() else head


def _without_date(name: str) -> str:
    """Take `-latest`, `-20241022` or `-2024-10-22` off."""
    parts = name.split("-")
    if parts[-1] == "latest" or (len(parts[-1]) == 8 and parts[-1].isdigit()):
        return "-".join(parts[:-1])
    if len(parts) > 3 and [len(part) for part in parts[-3:]] == [4, 2, 2] and "".join(parts[-3:]).isdigit():
        return "-".join(parts[:-3])
    return name
