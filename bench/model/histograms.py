"""HdrHistograms of latencies: made, encoded as text for a run, decoded, and read as percentiles."""

import base64
import struct
import zlib
from collections.abc import Iterable
from typing import Any

from bench.model.bounds import MOST
from bench.model.trial_record import Latency

HISTOGRAM_LOWEST_US, HISTOGRAM_HIGHEST_US, HISTOGRAM_DIGITS = 1, 600_000_000, 3
MOST_HISTOGRAM_BYTES = 1_000_000
"""Decompressed: five times the size of a histogram that counts each of the 21,000 possible values."""


def new_histogram() -> Any:
    """Make an empty HdrHistogram over 1 us to 10 minutes with 3 significant digits."""
    from hdrh.histogram import HdrHistogram

    return HdrHistogram(HISTOGRAM_LOWEST_US, HISTOGRAM_HIGHEST_US, HISTOGRAM_DIGITS)


def encode_histogram(histogram: Any) -> str:
    """Encode the histogram in HdrHistogram's own compressed form, base64."""
    encoded: bytes = histogram.encode()
    return encoded.decode()


def decode_histogram(text: str) -> Any:
    """Decode what `encode_histogram` wrote. Raises ValueError for any other text."""
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


def merge_histograms(texts: Iterable[str | None]) -> Any:
    """Decode the texts that are not None or empty, and add the histograms count by count. Raises ValueError."""
    merged = new_histogram()
    for text in filter(None, texts):
        merged.add(decode_histogram(text))
    return merged


def _require_our_bounds(encoded: bytes) -> None:
    """Raise ValueError unless it has the bounds of `new_histogram`: others cannot be added, and may take all memory.

    Eight bytes, then, compressed: three words, the digits, the lowest and the highest value. See `PayloadHeader` in
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
    """Return the percentiles in microseconds; None if nothing was recorded."""
    if histogram.get_total_count() == 0:
        return None
    values = histogram.get_percentile_to_value_dict([50, 90, 99, 99.9])
    p50, p90, p99, p999 = (int(values[percentile]) for percentile in (50, 90, 99, 99.9))
    return Latency(p50, p90, p99, p999, int(histogram.get_max_value()))
