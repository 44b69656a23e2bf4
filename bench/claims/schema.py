"""Reads `claims.toml`: each claim as people say it, its source, and its evidence. No finding is written there."""

from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from bench.base.errors import UsageError, nearest

FILE = Path(__file__).with_name("claims.toml")
Selector = dict[str, Any]


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a condition: `at` names it; its selectors replace those of the evidence."""

    at: str
    left: Selector = {}
    right: Selector = {}


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Something that speaks for or against a claim.

    `shows` is what it adds to the finding's sentence, with `{names}` for what was measured; evidence that only adds
    detail has none. `table` has what else was measured: {label: value}, both with `{names}`. `{name:this|that}` is the
    first where what was measured is true or 1, else the second; names may stand in both.
    """

    shows: str = ""
    table: dict[str, str] = {}


class RunEvidence(Evidence, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="by", tag="run"):
    """A comparison in the reference run of an experiment, as `run_record.Assertion` has it.

    `claim` takes over what a claim of that experiment compares; what is given beside it comes instead, above all what
    people expect. With `steps` the comparison is made once at each: `{turn}` says where its finding changes,
    `{holds_at}` and `{fails_at}` name the steps on either side, and `table` is filled in once for each step, with
    `{at}` and `{seen}`. Without a `claim` and anything expected it only adds detail.
    """

    experiment: str
    claim: str = ""
    measure: str | None = None
    left: Selector | None = None
    right: Selector | None = None
    expect: Literal["greater", "less", "between"] | None = None
    than: float | None = None
    within: list[float] | None = None
    steps: list[Step] = []

    @property
    def decides(self) -> bool:
        """Return whether anything is expected of the comparison; if not, it only adds detail."""
        return bool(self.claim or self.expect or self.within) or self.than is not None


class FactEvidence(Evidence, frozen=True, kw_only=True):
    """Named facts, and what the claim expects of them: `is` equal, at `least`, at `most`, an interval `within` two.

    Without any of these it only adds detail. `apart`: each expectation is a part of the evidence by itself, so that the
    claim may hold in one and fail in another.
    """

    apart: bool = False
    is_: dict[str, Any] = msgspec.field(default_factory=dict, name="is")
    least: dict[str, float] = {}
    most: dict[str, float] = {}
    within: dict[str, list[float]] = {}

    @property
    def decides(self) -> bool:
        """Return whether anything is expected of the facts; if not, they only add detail."""
        return bool(self.is_ or self.least or self.most or self.within)

    @property
    def expected(self) -> list[str]:
        """Return the names of the facts that something is expected of."""
        return [*self.is_, *self.least, *self.most, *self.within]


class TraceEvidence(FactEvidence, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="by", tag="trace"):
    """The hops of one request: a name of `reference_traces.TRACES`."""

    trace: str


class TrapEvidence(FactEvidence, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="by", tag="traps"):
    """What traps do behind both doors; of one alone also its values, as `asgi_trap_took_ms`."""

    traps: list[str]


class CallEvidence(FactEvidence, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="by", tag="calls"):
    """Calls on an event loop, all where none is named; refused methods without a twin are counted of `things`."""

    calls: list[str] = []
    things: list[str] = []


class MethodEvidence(
    FactEvidence, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="by", tag="methods"
):
    """Django's a-methods by version: `methods` by dotted path; how many there are in `places`, names for prefixes."""

    methods: list[str] = []
    places: dict[str, str] = {}


class ProbeEvidence(FactEvidence, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="by", tag="probe"):
    """The facts that a function of `probes` returns, run in a process of its own."""

    probe: str


class ConformanceEvidence(
    FactEvidence, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="by", tag="conformance"
):
    """The kept answers of servers to a question of `conformance.questions`: of all, or of those named.

    `servers` are names of `model.servers`; `interface` leaves out the answers behind the other one.
    """

    question: str
    servers: list[str] = []
    interface: Literal["", "wsgi", "asgi"] = ""


class NoEvidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="by", tag="nothing"):
    """No evidence yet: why, and what would be needed."""

    why: str
    needs: str


AnyFacts = TraceEvidence | TrapEvidence | CallEvidence | MethodEvidence | ProbeEvidence | ConformanceEvidence
AnyEvidence = RunEvidence | AnyFacts | NoEvidence


class PublicClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A claim. `turns_on`: the condition on which its finding changes; `lesson`: the notebook that settles it;
    `again`: the command that shows it again; `link`: the public page that says it, where the source has several.
    """

    id: str
    source: str
    says: str
    turns_on: str
    lesson: str
    again: str
    evidence: list[AnyEvidence]
    link: str = ""


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where claims come from: `title` in words, and the address of its public page where there is one."""

    title: str
    link: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sources: dict[str, Source]
    claims: list[PublicClaim]


@cache
def _read() -> _File:
    return msgspec.toml.decode(FILE.read_bytes(), type=_File)


def load_claims() -> list[PublicClaim]:
    """Return all claims, in the order of the file."""
    return _read().claims


def load_sources() -> dict[str, Source]:
    """Return {letter: source}; a claim's id begins with the letter of its source."""
    return _read().sources


def source_of(entry: PublicClaim) -> Source:
    """Return the source of a claim, with the claim's own link where it has one."""
    source = load_sources()[entry.source]
    return Source(source.title, entry.link or source.link)


def load_claim(name: str) -> PublicClaim:
    """Return the claim with an id, in capitals or not. Raises UsageError with the nearest ids if there is none."""
    known = {entry.id: entry for entry in load_claims()}
    if name.upper() not in known:
        raise UsageError(f"Unknown claim {name!r}: {nearest(name.upper(), known)}")
    return known[name.upper()]
