"""Pages and their weights, and how many requests are in flight, from an access log in the combined format.

The format: https://httpd.apache.org/docs/2.4/logs.html#combined. A last field with seconds or microseconds, as
`$request_time` of nginx or `%D` of Apache, is read as the time that a request took.
"""

import gzip
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import fmean

from bench.base.errors import UsageError
from bench.learn.your_project.model import Page

LINE = re.compile(
    r'\S+ \S+ \S+ \[(?P<at>[^\]]+)\] "(?P<method>[A-Z]+) (?P<path>\S+) [^"]*" (?P<status>\d{3}) \S+'
    r'(?: "[^"]*" "[^"]*")?(?P<rest>.*)'
)
TIME = "%d/%b/%Y:%H:%M:%S %z"
HARMLESS = ("GET", "HEAD")
FILES = re.compile(r"^/(static|media)/|\.(css|js|map|png|jpe?g|gif|svg|ico|webp|woff2?|txt|xml)(\?|$)", re.IGNORECASE)
"""What a web server answers, or a CDN: not the project's views."""
MOST_PAGES = 10
BUSY_S = 60
"""The rate is that of the busiest so many seconds."""


@dataclass(frozen=True)
class Traffic:
    """What a log says. `rate_per_s`: of all requests to views, in the busiest minute; `response_s`: None if not logged.

    `covered`: the share of requests that `pages` are; `others`: how many requests were of another method.
    """

    pages: list[Page]
    rate_per_s: float
    response_s: float | None
    requests: int
    covered: float
    others: int

    def users(self, response_s: float) -> int:
        """Return how many are in flight at once, by Little's law, N = X R, with the logged time or else this one."""
        return max(1, math.ceil(self.rate_per_s * (self.response_s or response_s)))


def read_log(file: Path) -> Traffic:
    """Read a log, also a gzipped one. Raises UsageError for a file that is not there, or has no line that fits."""
    seen, minutes, took_s, others = Counter[tuple[str, str]](), Counter[int](), list[float](), 0
    for line in _lines(file):
        found = LINE.match(line)
        if not found or FILES.search(found["path"]) or not found["status"].startswith("2"):
            continue
        at = _seconds(found["at"])
        if at is None:
            continue
        minutes[at // BUSY_S] += 1
        took_s += _took_s(found["rest"])
        if found["method"] in HARMLESS:
            seen[found["method"], found["path"]] += 1
        else:
            others += 1
    if not seen:
        raise UsageError(f"{file} has no answered GET in the combined log format: name an access log with --log.")
    return _traffic(seen, max(minutes.values()) / BUSY_S, took_s, others)


def _traffic(seen: Counter[tuple[str, str]], rate_per_s: float, took_s: list[float], others: int) -> Traffic:
    chosen, total = seen.most_common(MOST_PAGES), seen.total()
    kept = sum(count for _, count in chosen)
    pages = [Page(path, count / kept, method) for (method, path), count in chosen]
    response_s = fmean(took_s) if took_s else None
    return Traffic(pages, rate_per_s, response_s, total + others, kept / total, others)


def _lines(file: Path) -> Iterator[str]:
    try:
        with gzip.open(file, "rt", errors="replace") if file.suffix == ".gz" else file.open(errors="replace") as lines:
            yield from lines
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror or error}): name an access log with --log.") from None


def _seconds(text: str) -> int | None:
    try:
        return int(datetime.strptime(text, TIME).timestamp())
    except ValueError:
        return None


def _took_s(rest: str) -> list[float]:
    """Read the time at the end of a line: seconds with a point, or whole microseconds."""
    found = re.fullmatch(r'.*?[\s"=]?(\d+\.\d+|\d+)"?\s*', rest)
    if not found:
        return []
    return [float(found[1]) if "." in found[1] else int(found[1]) / 1e6]
