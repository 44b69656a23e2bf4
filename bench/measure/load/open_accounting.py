"""The open loop's accounting: every request it scheduled, and what they come to in the window. Pure."""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from time import monotonic_ns
from typing import Any

from bench.measure.load.driver import NS_PER_S, cut_to_window
from bench.model.histograms import encode_histogram, latency_of, new_histogram
from bench.model.trial_record import column_s

SILENCE_S = 0.2
OK, TIMED_OUT, DROPPED, IN_FLIGHT = "ok", "timed out", "dropped", "in flight"
COLUMNS = ("intended_us", "sent_us", "first_byte_us", "done_us", "status", "bytes", "outcome")


class Requests:
    """All scheduled requests, a column for each fact: monotonic ns, 0 for what did not happen; no outcome while open.

    Columns of plain numbers, because objects that live as long as the run would burden the garbage collector.
    """

    def __init__(self, intended_ns: list[int]) -> None:
        nothing = bytes(8 * len(intended_ns))
        self.intended_ns = array("q", intended_ns)
        self.sent_ns, self.first_byte_ns, self.done_ns = array("q", nothing), array("q", nothing), array("q", nothing)
        self.status, self.bytes = array("q", nothing), array("q", nothing)
        self.outcome = [""] * len(intended_ns)

    def __len__(self) -> int:
        return len(self.intended_ns)

    def end(self, index: int, outcome: str) -> None:
        """Note that the request is over, and how."""
        self.done_ns[index] = monotonic_ns()
        self.outcome[index] = outcome

    def keep(self, count: int) -> None:
        """Forget all but the first so many: the others were never due."""
        for column in (self.intended_ns, self.sent_ns, self.first_byte_ns, self.done_ns, self.status, self.bytes):
            del column[count:]
        del self.outcome[count:]

    def censor(self) -> None:
        """Call in flight what has not ended by now."""
        self.outcome = [outcome or IN_FLIGHT for outcome in self.outcome]


class OpenAccounting:
    """What the requests come to in the window. Waiting for answers ended at `drained_ns`; `duration_s` was planned."""

    def __init__(self, requests: Requests, start_ns: int, end_ns: int, drained_ns: int, duration_s: float) -> None:
        self.requests, self.start_ns, self.end_ns, self.drained_ns = requests, start_ns, end_ns, drained_ns
        self.every_ns = round(column_s(duration_s) * NS_PER_S)
        self.scheduled = [
            index for index, at_ns in enumerate(self.requests.intended_ns) if self.start_ns <= at_ns < self.end_ns
        ]
        self.counts = Counter(self.requests.outcome[index] for index in self.scheduled)

    def recording(self, stalls: list[tuple[int, int]], cpu_s: float) -> dict[str, Any]:
        """Return all of it as JSON data. `stalls`: when the driver was held up, in ns; `cpu_s`: its own CPU seconds."""
        window_ns = self.start_ns, self.end_ns
        return {
            "duration_s": (self.end_ns - self.start_ns) / NS_PER_S,
            "waited_s": self.waited_ns() / NS_PER_S,
            "carried_in": 0,
            **self.account(),
            **self.answered(),
            **self.latencies(),
            "stalls": cut_to_window(stalls, *window_ns),
            "silences": cut_to_window(silences(self.flights(), *window_ns), *window_ns),
            "cpu_s": cpu_s,
        }

    def account(self) -> dict[str, Any]:
        """Count those scheduled in the window: issued = completed + errors + timed out + dropped + in flight."""
        named = (OK, TIMED_OUT, DROPPED, IN_FLIGHT)
        return {
            "issued": len(self.scheduled),
            "completed": self.counts[OK],
            "errors": {outcome: count for outcome, count in self.counts.items() if outcome not in named},
            "timed_out": self.counts[TIMED_OUT],
            "dropped": self.counts[DROPPED],
            "in_flight": self.counts[IN_FLIGHT],
            "in_flight_oldest_us": max(self.ages_us(IN_FLIGHT), default=0),
        }

    def answered(self) -> dict[str, Any]:
        """Count right answers that came in the window, whenever they were sent: by half and over time."""
        length_ns, ends = self.end_ns - self.start_ns, zip(self.requests.done_ns, self.requests.outcome, strict=True)
        right_ns = [done_ns - self.start_ns for done_ns, outcome in ends if outcome == OK]
        times_ns = [at_ns for at_ns in right_ns if 0 <= at_ns < length_ns]
        columns = Counter(at_ns // self.every_ns for at_ns in times_ns)
        late = sum(2 * at_ns >= length_ns for at_ns in times_ns)
        return {
            "answered_halves": [len(times_ns) - late, late],
            "answered": [columns[column] for column in range(-(-length_ns // self.every_ns))],
            "answered_every_s": self.every_ns / NS_PER_S,
        }

    def latencies(self) -> dict[str, Any]:
        """Return the latencies in microseconds as JSON data, histograms encoded.

        They count from the intended send and from the actual send; requests without an answer stand in a histogram of
        their own with the time they waited. `lateness_us` says how late requests left.
        """
        requests, right = self.requests, self.with_outcome(OK)
        sent = [index for index in self.scheduled if requests.sent_ns[index]]
        lateness = latency_of(histogram_of(self.spans_us(requests.intended_ns, requests.sent_ns, sent)))
        censored = [age_us for outcome in (TIMED_OUT, DROPPED, IN_FLIGHT) for age_us in self.ages_us(outcome)]
        from_intended = histogram_of(self.spans_us(requests.intended_ns, requests.done_ns, right))
        from_send = histogram_of(self.spans_us(requests.sent_ns, requests.done_ns, right))
        return {
            "histogram": encode_histogram(from_intended),
            "histogram_from_send": encode_histogram(from_send),
            "histogram_censored": encode_histogram(histogram_of(censored)),
            "lateness_us": asdict(lateness) if lateness else None,
        }

    def with_outcome(self, outcome: str) -> list[int]:
        """Return the indices of the requests scheduled in the window that ended so."""
        return [index for index in self.scheduled if self.requests.outcome[index] == outcome]

    def ages_us(self, outcome: str) -> list[int]:
        """Return how old those with this outcome were at the timeout, or at the end of the drain."""
        requests = self.requests
        ends_ns = ((index, requests.done_ns[index] or self.drained_ns) for index in self.with_outcome(outcome))
        return [(end_ns - requests.intended_ns[index]) // 1000 for index, end_ns in ends_ns]

    @staticmethod
    def spans_us(since_ns: "array[int]", until_ns: "array[int]", indices: list[int]) -> list[int]:
        """Return the time between two columns for each index, in whole microseconds."""
        return [(until_ns[index] - since_ns[index]) // 1000 for index in indices]

    def flights(self) -> Iterator[tuple[int, int, bool]]:
        """Yield when each request was sent, when it ended, and whether an answer ended it."""
        requests = self.requests
        columns = zip(requests.sent_ns, requests.done_ns, requests.status, strict=True)
        return ((sent, done or self.drained_ns, status > 0) for sent, done, status in columns if sent)

    def waited_ns(self) -> int:
        """Add up how long requests were in flight in the window."""
        inside = (min(ended, self.end_ns) - max(sent, self.start_ns) for sent, ended, _ in self.flights())
        return sum(span_ns for span_ns in inside if span_ns > 0)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield a row of COLUMNS for each scheduled request: us from the window's start, empty if it did not happen."""
        requests = self.requests
        times = (requests.intended_ns, requests.sent_ns, requests.first_byte_ns, requests.done_ns)
        for index, outcome in enumerate(requests.outcome):
            at_us = [(column[index] - self.start_ns) // 1000 if column[index] else "" for column in times]
            status = requests.status[index]
            yield (*at_us, status or "", requests.bytes[index] if status else "", outcome)


def histogram_of(values_us: Iterable[int]) -> Any:
    """Return a new histogram of values in microseconds; values below 1 count as 1."""
    histogram = new_histogram()
    for value_us in values_us:
        histogram.record_value(max(1, value_us))
    return histogram


def silences(flights: Iterable[tuple[int, int, bool]], start_ns: int, end_ns: int) -> list[tuple[int, int]]:
    """Return the stretches of the window over 0.2 s without an answer, with a request in flight all the time.

    `flights`: (sent, ended, was answered). The stretches are in the units of `start_ns`: monotonic ns.
    """
    edges = (edge for sent, ended, answered in flights for edge in ((sent, 1, False), (ended, -1, answered)))
    found, in_flight, since_ns = [], 0, start_ns
    for at_ns, change, answered in sorted(edges):
        if in_flight and (answered or in_flight + change == 0):
            found.append((max(since_ns, start_ns), min(at_ns, end_ns)))
            since_ns = at_ns
        elif not in_flight:
            since_ns = at_ns
        in_flight += change
    return [(since, until) for since, until in found if until - since > SILENCE_S * NS_PER_S]
