"""A run as data: what was decided beforehand, and its trials. `run_json.py` writes and reads it as `run.json`.

A run is a folder with `run.json` (everything that was measured) and `report.html` (made from it). It is written
whole after each trial and moved into place, so that a reader never meets half a file.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from bench.model.bounds import Amount, Count, Name, Number, Text
from bench.model.trial_record import Trial

SCHEMA, OLDEST_SCHEMA = 3, 2
Status = Literal["running", "complete", "aborted"]


@dataclass(frozen=True)
class Assertion:
    """A sentence about one measure of a run's trials, which the run can support or refute.

    With `left` and `right` it is about their ratio: `greater` or `less` than `than`, or `between` the two numbers of
    `within`. With `left` alone it is about the number itself in every restart, which is for counts. With `order` each
    selector has more of the measure than the next. A selector picks trials by stack, and by request, middleware
    and load where those differ: users, rate_per_s (with users: a closed loop held to it), capacity_share, connections;
    and `server_cores` where the same stack has several.
    """

    says: Text
    left: dict[str, Any] = field(default_factory=dict)
    right: dict[str, Any] | None = None
    order: list[dict[str, Any]] = field(default_factory=list)
    measure: Text = "throughput_per_s"
    expect: Literal["greater", "less", "between"] = "greater"
    than: Number = 1.0
    within: list[Number] = field(default_factory=list)


def sides_of(claim: Assertion) -> list[dict[str, Any]]:
    """Return the selectors of all sides that a claim compares."""
    return claim.order or [side for side in (claim.left, claim.right) if side is not None]


@dataclass(frozen=True)
class RunPlan:
    """All that was decided before the first trial; enough to do it again."""

    stacks: list[Name]
    requests: list[Text]
    loads: list[Text]
    middleware: list[Text]
    repeats: Count
    trials: Count
    warmup_s: Amount
    duration_s: Amount
    load_processes: Count
    seed: Count
    schedule: Text = "poisson"
    expect_workers: Count = 0
    target: Text | None = None
    engine: Text = "locust"
    claims: list[Assertion] = field(default_factory=list)
    server_cores: Count | None = None


@dataclass(frozen=True)
class Run:
    """One execution of an experiment on one machine."""

    schema: int
    experiment: Text
    title: Text
    question: Text
    profile: Text
    status: Status
    started_at: Text
    took_s: Number
    environment: dict[str, Any]
    plan: RunPlan
    trials: list[Trial]
    sha256: Text = ""
