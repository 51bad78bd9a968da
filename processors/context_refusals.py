"""Whether a provider refused a model call because it was too long, from its error code or its words."""

from __future__ import annotations

from schemas.step import ERROR_CAP

CODES = (
    "context_length_exceeded",
    "context_window_exceeded",
    "contextwindowexceeded",
    "context_limit_exceeded",
    "contextlengthexceeded",
    "exceed_context_size",
    "contextoverflow",
    "context_overflow",
)
"""Structured codes and exception classes of OpenAI, Azure, Anthropic, LiteLLM, llama.cpp, LangChain and their like."""

LENGTHS = (
    "context length",
    "context window",
    "context size",
    "context limit",
    "prompt length",
    "prompt is",
    "prompt contains",
    "input is",
    "input length",
    "input token",
    "input tokens",
    "number of tokens",
    "token count",
    "tokens",
    "messages",
)
EXCEEDINGS = (
    "exceed",
    "too long",
    "too large",
    "too many",
    "maximum context",
    "maximum prompt length",
    "over the limit",
    "larger than",
    "longer than",
    "reduce the length",
    "must be <=",
    "cannot exceed",
)
RATES = ("per minute", "per day", "per second", "tpm", "tpd", "rate limit", "rate_limit", "quota", "max_tokens is too")
"""Words of another refusal: too much in a short time, or too long an answer asked for."""


def refused_for_length(error_type: str, error: str, finish: str) -> bool:
    """Say whether a model call was refused, or cut off, because it did not fit the window."""
    if any(code in finish.lower() for code in CODES):
        return True
    text = f"{error_type} {error[:ERROR_CAP]}".lower()
    if any(code in text for code in CODES):
        return True
    if any(rate in text for rate in RATES):
        return False
    return any(length in text for length in LENGTHS) and any(exceeding in text for exceeding in EXCEEDINGS)
