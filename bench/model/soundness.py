"""Checks of a run.json beyond the types of its fields, so that all programs that read it can rely on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Required, TypedDict

import msgspec
from msgspec import Meta

from bench.model.bounds import Connections, Count, Number, Text, Users
from bench.model.histograms import decode_histogram
from bench.model.run_record import Assertion, Run, sides_of
from bench.model.trial_record import Trial, values_of

Limit = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""A limit of the operating system: the largest value stands for no limit."""
Plain = Text | Limit | Number | bool | None
Flat = Plain | list[Plain]


class Known(TypedDict, total=False):
    """The entries of an environment that programs look up by name."""

    memory_bytes: Count | None
    file_descriptors: list[Limit]
    packages: dict[Text, Text | None]
    fronts: dict[Text, Text]
    git: dict[Text, Plain] | None


class Selector(TypedDict, total=False):
    """One side of a claim."""

    stack: Required[Text]
    request: Text | None
    middleware: list[Text] | None
    users: Users | None
    rate_per_s: Number | None
    capacity_share: Number | None
    connections: Connections | None
    max_connections: Count | None
    visitors: Users | None
    slow_over_s: Number | None
    leaving: Count | None


def require_sound(run: Run) -> None:
    """Raise ValueError with the cause if the run says what cannot be true, shown or judged."""
    _require_type(run.environment, dict[Text, Flat | dict[Text, Flat]], "its environment")
    _require_type(run.environment, Known, "its environment")
    for place, claim in enumerate(run.plan.claims, 1):
        _require_judgeable(claim, run.trials, f"claim {place}")
    for place, trial in enumerate(run.trials, 1):
        _require_consistent(trial, f"trial {place}")


def _require_type(value: Any, kind: Any, what: str) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"{what}: {error}") from None


def _require_judgeable(claim: Assertion, trials: Sequence[Trial], what: str) -> None:
    for side in sides_of(claim):
        _require_type(side, Selector, f"{what} compares")
    if claim.expect == "between" and (len(claim.within) != 2 or claim.within[0] > claim.within[1]):
        raise ValueError(f"{what} is about two bounds, and has {claim.within}")
    try:
        values_of(trials, claim.measure)
    except (AttributeError, TypeError, ValueError):
        raise ValueError(f"{what} is about {claim.measure}, which is no number of a trial") from None


def _require_consistent(trial: Trial, what: str) -> None:
    samples, waves = trial.samples, trial.waves
    columns: list[list[list[Any]]] = [
        [samples.at_s, samples.cpu_share, samples.rss_bytes, samples.threads, samples.accept_queue]
    ]
    columns += [[waves.at_s, waves.in_flight, waves.open]] if waves else []
    if any(len(set(map(len, together))) > 1 for together in columns):
        raise ValueError(f"{what} has columns of different lengths")
    gaps = trial.streams.gaps if trial.streams else None
    for text in filter(None, (trial.histogram, trial.histogram_from_send, gaps)):
        try:
            decode_histogram(text)
        except ValueError as error:
            raise ValueError(f"the histogram of {what} is damaged: {error}") from None
