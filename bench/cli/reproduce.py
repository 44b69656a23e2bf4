"""`scripts/reproduce`: every experiment measured here, its claims verified, and set beside `results/reference`.

Rates belong to a machine and are not compared; what the claims say of shapes, orders, ratios and counts is.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bench.analyse.findings import ClaimFinding, finding_for, findings_of
from bench.base import files
from bench.base.console import guarded, shown
from bench.base.errors import ExitCode, LabError
from bench.base.options import Parser
from bench.cli import verify
from bench.measure import launch, orphaned_runs
from bench.model import experiment, run_store
from bench.model.run_record import Run
from bench.show.tables.formatting import HOLE, one_line, verbatim
from bench.show.tables.markdown import markdown_line

Agreement = Literal["agrees", "differs", "cannot tell", "no reference"]

STOP_WITHIN_S = 30.0
SUMMARY = "summary.md"
WORST_FIRST = (ExitCode.INTERRUPTED, ExitCode.FAILED, ExitCode.INVALID, ExitCode.NOT_RUN, ExitCode.FINE)


@dataclass(frozen=True)
class Judged:
    """A claim judged here, and by the reference run where there is one."""

    here: ClaimFinding
    there: ClaimFinding | None

    @property
    def agreement(self) -> Agreement:
        """`differs` only where one supports what the other refutes."""
        if self.there is None:
            return "no reference"
        if "cannot tell" in (self.here.value, self.there.value):
            return "cannot tell"
        return "agrees" if self.here.value == self.there.value else "differs"


@dataclass(frozen=True)
class Reproduction:
    """One experiment: how `lab run` ended, and the run it left, if any."""

    name: str
    folder: Path
    exit_code: int = ExitCode.FINE
    run: Run | None = None
    trouble: str = ""
    reference: Run | None = None
    reference_trouble: str = ""

    @property
    def judged(self) -> list[Judged]:
        """Each claim of the run, judged by both."""
        findings = findings_of(self.run) if self.run else []
        return [Judged(here, _there(here, self.reference)) for here in findings]

    @property
    def code(self) -> ExitCode:
        """What this experiment does to the exit code of all."""
        if self.run is None:
            return ExitCode.NOT_RUN if self.exit_code == ExitCode.NOT_RUN else ExitCode.FAILED
        seen = [_code_of(judged) for judged in self.judged]
        verdicts = {trial.verdict for trial in self.run.trials}
        seen += [ExitCode.INTERRUPTED] if self.run.status != "complete" else []
        seen += [ExitCode.INVALID] if "invalid" in verdicts else []
        seen += [ExitCode.NOT_RUN] if "not-run" in verdicts else []
        return worst(seen)


def _there(here: ClaimFinding, reference: Run | None) -> ClaimFinding | None:
    """The same claim by the reference's trials, whatever it claimed itself when it was made."""
    return finding_for(here.claim, reference.trials) if reference else None


def _code_of(judged: Judged) -> ExitCode:
    if judged.here.value == "refuted" or judged.agreement == "differs":
        return ExitCode.FAILED
    return ExitCode.INVALID if "cannot tell" in (judged.here.value, judged.agreement) else ExitCode.FINE


def worst(codes: Sequence[ExitCode]) -> ExitCode:
    """The one that says most: interrupted, then a claim, then a measurement, then the environment."""
    return min(codes, key=WORST_FIRST.index, default=ExitCode.FINE)


def reproduce(name: str, profile: str, folder: Path) -> Reproduction:
    """Measure one experiment and read what came of it; no end of `lab run` is an error here."""
    found = Reproduction(name, folder, lab_run(name, profile, folder))
    try:
        found = replace(found, run=run_store.load_run(folder))
    except LabError as error:
        found = replace(found, trouble=f"`lab run` ended with {found.exit_code} and left no run: {error}")
    return with_reference(found)


def with_reference(found: Reproduction) -> Reproduction:
    """With the committed run beside it, or why there is none."""
    try:
        return replace(found, reference=run_store.load_run(run_store.REFERENCE / found.name))
    except LabError as error:
        return replace(found, reference_trouble=f"Nothing to compare with: {error}")


def lab_run(name: str, profile: str, folder: Path) -> int:
    """`lab run` in a process group of its own: Ctrl-C reaches it through us, once. Its table goes to stderr."""
    command = [sys.executable, "-m", "bench", "run", name, "--profile", profile, "--out", str(folder)]
    with subprocess.Popen(_bound_to_us(command), cwd=files.ROOT, stdout=2, start_new_session=True) as popen:
        try:
            return popen.wait()
        except KeyboardInterrupt:
            return _stopped(popen)


def _bound_to_us(command: Sequence[str]) -> list[str]:
    """When we are killed it is told to end, as all that the lab starts."""
    return [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), "-", *command]


def _stopped(popen: subprocess.Popen[bytes]) -> int:
    """Hand the interruption on and wait until the run has been kept; impatience goes through as well."""
    popen.send_signal(signal.SIGINT)
    try:
        popen.wait(STOP_WITHIN_S)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        popen.send_signal(signal.SIGINT)
        try:
            popen.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            popen.kill()  # what it started is bound to its life
    return ExitCode.INTERRUPTED


def reproduce_all(names: Sequence[str], profile: str, folder: Path) -> list[Reproduction]:
    """One after the other, whatever becomes of each, until interrupted. Writes the summary after each."""
    done: list[Reproduction] = []
    for name in names:
        print(f"reproduce: {name} ({len(done) + 1} of {len(names)})", file=sys.stderr)
        done.append(reproduce(name, profile, folder / name))
        files.write_atomically(folder / SUMMARY, to_markdown(done, profile).encode())
        if done[-1].exit_code == ExitCode.INTERRUPTED:
            break
    return done


def code_of(done: Sequence[Reproduction]) -> ExitCode:
    """The exit code of all."""
    was_interrupted = any(one.exit_code == ExitCode.INTERRUPTED for one in done)
    return ExitCode.INTERRUPTED if was_interrupted else worst([one.code for one in done])


MEANING = {
    ExitCode.FINE: "Everything claimed was seen here too.",
    ExitCode.FAILED: "A claim is refuted here, or the reference run found the opposite, or a run failed.",
    ExitCode.INVALID: "Nothing is refuted, but some trial was invalid or some claim cannot be told.",
    ExitCode.NOT_RUN: "Nothing is refuted, but some trial could not run on this machine.",
    ExitCode.INTERRUPTED: "Interrupted: what follows is what was there by then.",
}


def to_markdown(done: Sequence[Reproduction], profile: str) -> str:
    """One summary for all experiments: the outcome, then a table of claims for each."""
    code = code_of(done)
    parts = [f"# Reproduction, {profile} profile", f"{MEANING[code]} (exit code {int(code)})"]
    if done:
        lines = [_overview(one) for one in done]
        head = ["experiment", "trials measured", "supported", "refuted", "cannot tell", "agree with reference", "s"]
        parts.append("\n".join(map(markdown_line, [head, [":--", *["--:"] * 6], *lines])))
    return "\n\n".join([*parts, *map(_section, done)]) + "\n"


def _overview(one: Reproduction) -> list[str]:
    run, judged = one.run, one.judged
    if run is None:
        return [f"`{one.name}`", *[HOLE] * 6]
    values = [it.here.value for it in judged]
    measured = sum(trial.is_measured for trial in run.trials)
    agree = sum(it.agreement == "agrees" for it in judged)
    return [
        f"`{one.name}`",
        f"{measured} of {run.plan.trials}",
        *(str(values.count(value)) for value in ("supported", "refuted", "cannot tell")),
        f"{agree} of {len(judged)}" if one.reference else "no reference",
        f"{run.took_s:.0f}",
    ]


def _section(one: Reproduction) -> str:
    """The claims of one experiment, here and there, below whatever is wrong with it."""
    wrong = [one.trouble, verify.incomplete(one.run) if one.run else "", one.reference_trouble]
    parts = [f"## {one.name}", *(f"- {one_line(text)}" for text in wrong if text)]
    if one.judged:
        head = ["", "claim", "here", "reference"]
        parts.append("\n".join(map(markdown_line, [head, [":--"] * 4, *map(_line, one.judged)])))
    elif one.run:
        parts.append("It claims nothing.")
    return "\n\n".join(parts)


def _line(judged: Judged) -> list[str]:
    return [judged.agreement, verbatim(judged.here.claim.says), _said(judged.here), _said(judged.there)]


def _said(finding: ClaimFinding | None) -> str:
    return HOLE if finding is None else f"**{finding.value}** {verbatim(finding.text)}"


def publish(text: str, folder: Path) -> None:
    """On stdout, in the folder, and in the summary of the job where CI offers one."""
    files.write_atomically(folder / SUMMARY, text.encode())
    print(text)
    job = os.environ.get("GITHUB_STEP_SUMMARY")
    if job:
        with Path(job).open("a", encoding="utf-8") as file:
            file.write(text)
    print(f"summary: {shown(folder / SUMMARY)}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the experiments, verify each, and write a summary; return the worst exit code of them."""
    parser: argparse.ArgumentParser = Parser(prog="scripts/reproduce", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="EXPERIMENT", help="only these (default: all)")
    parser.add_argument("--profile", default="quick", help="quick (default), standard or reference")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: results/local/reproduce-STAMP")
    arguments = parser.parse_args(argv)
    names = list(dict.fromkeys(arguments.names)) or experiment.experiment_names()
    for name in names:
        experiment.profile_of(experiment.load_experiment(name), arguments.profile)
    folder = (arguments.out or orphaned_runs.new_folder("reproduce")).resolve()
    with orphaned_runs.claimed(folder, (SUMMARY, *names)):
        done = reproduce_all(names, arguments.profile, folder)
        publish(to_markdown(done, arguments.profile), folder)
    return code_of(done)


if __name__ == "__main__":
    sys.exit(guarded(main))
