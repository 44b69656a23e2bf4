"""`lab verify`: what a run says to its claims, and one exit code for all of them.

0: all supported. 1: one is refuted. 4: none is refuted, and some cannot be told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.analyse.findings import ClaimFinding, findings_of
from bench.analyse.rows import between_windows_s
from bench.base.errors import ExitCode, UsageError
from bench.model.run_record import Run
from bench.show.tables.json_rows import to_json_findings
from bench.show.tables.terminal import print_findings

if TYPE_CHECKING:
    from rich.console import Console

MEANING = {
    ExitCode.FINE: "all claims are supported",
    ExitCode.FAILED: "a claim is refuted",
    ExitCode.INVALID: "no claim is refuted, but not all can be told",
}


def judged(run: Run) -> list[ClaimFinding]:
    """The findings of a run. UsageError where it claims nothing."""
    if not run.plan.claims:
        raise UsageError(f"This run of {run.experiment} claims nothing: verify one with `lab run first_look`.")
    return findings_of(run)


def code_of(findings: Sequence[ClaimFinding]) -> ExitCode:
    """The worst of them: a refuted claim tells more than one that cannot be told."""
    values = {finding.value for finding in findings}
    if "refuted" in values:
        return ExitCode.FAILED
    return ExitCode.INVALID if "cannot tell" in values else ExitCode.FINE


def incomplete(run: Run) -> str:
    """A sentence about a run that has not all of its trials; empty for one that has."""
    if run.status == "complete":
        return ""
    word = "was interrupted" if run.status == "aborted" else "is not finished"
    return f"This run {word}: {len(run.trials)} of {run.plan.trials} trials are here to judge by."


def conclusion(findings: Sequence[ClaimFinding]) -> str:
    """The counts and what the exit code means."""
    counts, code = Counter(finding.value for finding in findings), code_of(findings)
    told = [f"{counts['supported']} supported", f"{counts['refuted']} refuted", f"{counts['cannot tell']} cannot tell"]
    return f"{', '.join(told)}: {MEANING[code]} (exit code {int(code)})."


def to_json(run: Run, findings: Sequence[ClaimFinding]) -> dict[str, Any]:
    """The findings as plain data, with the run they are of."""
    return {
        "experiment": run.experiment,
        "profile": run.profile,
        "status": run.status,
        "sha256": run.sha256,
        "exit_code": int(code_of(findings)),
        "between_windows_s": between_windows_s(run),
        "findings": to_json_findings(run),
    }


def show(run: Run, findings: Sequence[ClaimFinding], console: Console) -> None:
    """One claim a line, and what it comes to."""
    if incomplete(run):
        console.print(incomplete(run), style="yellow", highlight=False, markup=False)
    print_findings(findings, console)
    console.print(f"\n{run.experiment}, {run.profile}: {conclusion(findings)}", highlight=False, markup=False)
