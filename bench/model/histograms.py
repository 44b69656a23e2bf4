"""Latencies as an HdrHistogram, and as text in a run."""

import base64
import struct
import zlib
from typing import Any

from bench.model.bounds import MOST
from bench.model.trial_record import Latency

HISTOGRAM_LOWEST_US, HISTOGRAM_HIGHEST_US, HISTOGRAM_DIGITS = 1, 600_000_000, 3
MOST_HISTOGRAM_BYTES = 1_000_000
"""Decompressed: five times what one can have in which each of the 21,000 values was seen."""


def new_histogram() -> Any:
    """An empty HdrHistogram over 1 us to 10 minutes with 3 significant digits."""
    from hdrh.histogram import HdrHistogram

    return HdrHistogram(HISTOGRAM_LOWEST_US, HISTOGRAM_HIGHEST_US, HISTOGRAM_DIGITS)


def encode_histogram(histogram: Any) -> str:
    """The histogram in HdrHistogram's own compressed form, base64."""
    encoded: bytes = histogram.encode()
    return encoded.decode()


def decode_histogram(text: str) -> Any:
    """The HdrHistogram that `encode_histogram` wrote. ValueError where the text is none of ours."""
    from hdrh.codec import HdrCookieException, HdrLengthException
    from hdrh.histogram import HdrHistogram

    _require_our_bounds(base64.b64decode(text, validate=True))
    try:
        histogram = HdrHistogram.decode(text.encode())
    except (HdrCookieException, HdrLengthException, IndexError) as error:
        raise ValueError(f"no HdrHistogram, {error}") from None
    if not 0 <= histogram.get_total_count() <= MOST:
        raise ValueError("counts that overflow")
    return histogram


def _require_our_bounds(encoded: bytes) -> None:
    """ValueError unless it has the bounds of `new_histogram`: others cannot be added, and may take all memory.

    Eight bytes, then compressed three words, the digits, the lowest and the highest value: `PayloadHeader` of
    hdrh/codec.py, version 2 of the format.
    """
    unpacking, bounds = zlib.decompressobj(), (HISTOGRAM_DIGITS, HISTOGRAM_LOWEST_US, HISTOGRAM_HIGHEST_US)
    try:
        content = unpacking.decompress(encoded[8:], MOST_HISTOGRAM_BYTES)
    except zlib.error as error:
        raise ValueError(f"no HdrHistogram, {error}") from None
    if not unpacking.eof or content[12:32] != struct.pack(">IQQ", *bounds):
        raise ValueError("not over 1 us to 10 minutes with 3 digits")


def latency_of(histogram: Any) -> Latency | None:
    """Percentiles in microseconds; None where nothing was recorded."""
    if histogram.get_total_count() == 0:
        return None
    p50, p90, p99, p999 = (int(histogram.get_value_at_percentile(p)) for p in (50, 90, 99, 99.9))
    return Latency(p50, p90, p99, p999, int(histogram.get_max_value()))
