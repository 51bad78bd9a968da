"""Content encodings: all the same bytes, never more than is allowed, and no stream that ends too early."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable

import cramjam
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from collector.receivers.compression import DECODERS, decompress
from collector.receivers.intake import Malformed, Refusal, TooLarge

LIMIT = 1 << 22
DATA = random.Random(1).randbytes(600_000) + b"agent" * 200_000  # noqa: S311  # no secret
"""More than one buffer, block, frame and slice of every format."""

ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
    "snappy": lambda data: bytes(cramjam.snappy.compress_raw(data)),
    "x-snappy-framed": lambda data: bytes(cramjam.snappy.compress(data)),
    "lz4": lambda data: bytes(cramjam.lz4.compress(data)),
}
STREAMS = sorted(ENCODERS.keys() - {"snappy"})


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoding_gives_the_bytes_back(name: str) -> None:
    assert decompress(name, ENCODERS[name](DATA), len(DATA)) == DATA


@pytest.mark.parametrize("name", ENCODERS)
def test_one_byte_more_than_is_allowed_is_too_large(name: str) -> None:
    with pytest.raises(TooLarge):
        decompress(name, ENCODERS[name](DATA), len(DATA) - 1)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("cut", [1, 3, 300_000])
def test_a_stream_that_ends_too_early_is_malformed(name: str, cut: int) -> None:
    with pytest.raises(Malformed):
        decompress(name, ENCODERS[name](DATA)[:-cut], LIMIT)


@pytest.mark.parametrize("name", STREAMS)
def test_streams_may_follow_one_another(name: str) -> None:
    assert decompress(name, ENCODERS[name](b"one") + ENCODERS[name](b"two"), LIMIT) == b"onetwo"


@pytest.mark.parametrize("name", ["gzip", "deflate", "zstd"])
def test_but_not_without_end(name: str) -> None:
    with pytest.raises(Malformed):
        decompress(name, ENCODERS[name](b"") * 10_000, LIMIT)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_empty_body_is_empty_in_any_encoding(name: str) -> None:
    assert decompress(name, b"", LIMIT) == b""


@given(st.sampled_from(sorted(DECODERS)), st.binary(max_size=200))
def test_any_bytes_become_bytes_or_a_refusal(name: str, body: bytes) -> None:
    try:
        assert len(decompress(name, body, 1_000)) <= 1_000
    except Refusal:
        return
