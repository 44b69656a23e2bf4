"""`lab verify`: judges the claims of a run, with one exit code for all of them.

0: all are supported. 1: one is refuted. 4: none is refuted, and some cannot be decided.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import Any

from bench.analyse.findings import ClaimFinding, findings_of
from bench.analyse.rows import between_windows_s
from bench.base.console import console, print_json, print_text
from bench.base.errors import ExitCode, UsageError
from bench.model.run_record import Run
from bench.model.run_store import find_run, load_run
from bench.show.tables.formatting import verbatim
from bench.show.tables.json_rows import to_json_findings
from bench.show.tables.markdown import markdown_table
from bench.show.tables.terminal import print_findings

SHOWN_PACKAGES = ("django", "gunicorn", "uvicorn")
MEANING = {
    ExitCode.FINE: "all claims are supported",
    ExitCode.FAILED: "a claim is refuted",
    ExitCode.INVALID: "no claim is refuted, but not all can be decided",
}


def verify(arguments: argparse.Namespace) -> int:
    """Judge the claims of a saved run; return FAILED if one is refuted, INVALID if one cannot be decided."""
    run = load_run(find_run(arguments.run))
    findings = require_findings(run)
    if arguments.json:
        print_json(to_json(run, findings))
    elif arguments.markdown:
        print_text(to_markdown(run, findings))
    else:
        _show(run, findings)
    return code_of(findings)


def require_findings(run: Run) -> list[ClaimFinding]:
    """The findings of a run. UsageError if it has no claims."""
    if not run.plan.claims:
        raise UsageError(f"This run of {run.experiment} claims nothing: verify one with `lab run first_look`.")
    return findings_of(run)


def code_of(findings: Sequence[ClaimFinding]) -> ExitCode:
    """The worst of them: a refuted claim counts more than an undecided one."""
    values = {finding.value for finding in findings}
    if "refuted" in values:
        return ExitCode.FAILED
    return ExitCode.INVALID if "cannot tell" in values else ExitCode.FINE


def incomplete(run: Run) -> str:
    """A sentence about a run that lacks trials; empty for a complete one."""
    if run.status == "complete":
        return ""
    word = "was interrupted" if run.status == "aborted" else "is not finished"
    return f"This run {word}: {len(run.trials)} of {run.plan.trials} trials are here to judge by."


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


def to_markdown(run: Run, findings: Sequence[ClaimFinding]) -> str:
    """The verdict in a sentence, machine and versions, and a table of the findings, for the summary of a job."""
    lines = [[f"**{it.value}**", verbatim(it.claim.says), verbatim(it.text)] for it in findings]
    cautions = [f"- {incomplete(run)}"] if incomplete(run) else []
    parts = [
        f"**{verbatim(conclusion(run, findings))}**",
        *cautions,
        machine_text(run),
        markdown_table(["finding", "claim", "measured"], lines),
    ]
    return "\n\n".join(parts) + "\n"


def machine_text(run: Run) -> str:
    """The machine and the versions of a run, in a line of Markdown."""
    known, packages = run.environment, run.environment.get("packages") or {}
    machine = [known.get("cpu"), f"{known['cores']} cores" if known.get("cores") else None, known.get("system")]
    versions = [known.get("python"), *(f"{name} {packages[name]}" for name in SHOWN_PACKAGES if name in packages)]
    return verbatim("; ".join([run.started_at, *(", ".join(filter(None, it)) for it in (machine, versions))]))


def conclusion(run: Run, findings: Sequence[ClaimFinding]) -> str:
    """The counts of the findings and what the exit code means, in a sentence."""
    counts, code = Counter(finding.value for finding in findings), code_of(findings)
    text = ", ".join(f"{counts[value]} {value}" for value in ("supported", "refuted", "cannot tell"))
    return f"{run.experiment}, {run.profile}: {text}: {MEANING[code]} (exit code {int(code)})."


def _show(run: Run, findings: Sequence[ClaimFinding]) -> None:
    """One line for each claim, then their counts and what the exit code means."""
    out = console()
    if incomplete(run):
        out.print(incomplete(run), style="yellow", highlight=False, markup=False)
    print_findings(findings, out)
    out.print(f"\n{conclusion(run, findings)}", highlight=False, markup=False)
