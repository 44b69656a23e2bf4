"""`scripts/reproduce`: measures every experiment here, verifies its claims, and compares them with `results/reference`.

Rates belong to a machine and are not compared. Claims about shapes, orders, ratios and counts are.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.analyse.findings import ClaimFinding, finding_for, findings_of
from bench.base import files
from bench.base.console import relative_to_here, run_program
from bench.base.errors import ExitCode, LabError, NotRun
from bench.base.options import Parser
from bench.cli import saved_runs, verify
from bench.measure import orphaned_runs
from bench.measure.processes import launch_command
from bench.model import experiment, run_store
from bench.model.run_record import Run
from bench.show.tables.formatting import HOLE, one_line, verbatim
from bench.show.tables.markdown import markdown_line

STOP_WITHIN_S = 30.0
SUMMARY = "summary.md"
WORST_FIRST = (ExitCode.INTERRUPTED, ExitCode.FAILED, ExitCode.INVALID, ExitCode.NOT_RUN, ExitCode.FINE)
MEANING = {
    ExitCode.FINE: "Everything claimed was seen here too.",
    ExitCode.FAILED: "A claim is refuted here, or the reference run found the opposite, or a run failed.",
    ExitCode.INVALID: "Nothing is refuted, but a trial was invalid or a claim could not be decided.",
    ExitCode.NOT_RUN: "Nothing is refuted, but a trial could not run on this machine.",
    ExitCode.INTERRUPTED: "Interrupted: what follows is what had been measured by then.",
}


@dataclass(frozen=True)
class Comparison:
    """The finding of a claim here, and that of the reference run if there is one."""

    here: ClaimFinding
    there: ClaimFinding | None

    @property
    def agreement(self) -> str:
        """`differs` only if one supports what the other refutes."""
        if self.there is None:
            return "no reference"
        if "cannot tell" in (self.here.value, self.there.value):
            return "cannot tell"
        return "agrees" if self.here.value == self.there.value else "differs"

    @property
    def code(self) -> ExitCode:
        """What this claim does to the exit code."""
        if self.here.value == "refuted" or self.agreement == "differs":
            return ExitCode.FAILED
        return ExitCode.INVALID if "cannot tell" in (self.here.value, self.agreement) else ExitCode.FINE


@dataclass(frozen=True)
class Reproduction:
    """One experiment: how `lab run` ended, the run that it left, and the reference run; each with why it is missing.

    `is_left_out`: nobody asked for it by name, and an environment or a package that it needs is not there.
    """

    name: str
    exit_code: int
    run: Run | None
    trouble: str
    reference: Run | None
    reference_trouble: str
    is_left_out: bool = False

    @property
    def comparisons(self) -> list[Comparison]:
        """Each claim of the run, judged by its trials and by those of the reference run."""
        findings = findings_of(self.run) if self.run else []
        trials = self.reference.trials if self.reference else None
        return [Comparison(here, None if trials is None else finding_for(here.claim, trials)) for here in findings]

    @property
    def code(self) -> ExitCode:
        """What this experiment does to the exit code of all."""
        if self.is_left_out:
            return ExitCode.FINE
        if self.run is None:
            return ExitCode.NOT_RUN if self.exit_code == ExitCode.NOT_RUN else ExitCode.FAILED
        measured = saved_runs.exit_code_of(self.run) if self.run.status == "complete" else ExitCode.INTERRUPTED
        return worst([ExitCode(measured), *(one.code for one in self.comparisons)])


def worst(codes: Sequence[ExitCode]) -> ExitCode:
    """The most important: interrupted, then a claim, then a measurement, then the environment."""
    return min(codes, key=WORST_FIRST.index, default=ExitCode.FINE)


def reproduce(name: str, profile: str, folder: Path) -> Reproduction:
    """Measure one experiment and read its run; `lab run` may end in any way."""
    code = lab_run(name, profile, folder)
    run, trouble = _load(folder, f"`lab run` ended with {int(code)} and left no run")
    return Reproduction(name, code, run, trouble, *_load(run_store.REFERENCE / name, "Nothing to compare with"))


def left_out(names: Sequence[str], profile: str) -> list[Reproduction]:
    """Return the experiments that lack an environment or a package here, each with the command that helps."""
    found = []
    for name in names:
        try:
            experiment.load_experiment(name).require_stacks(profile)
        except NotRun as error:
            found.append(Reproduction(name, ExitCode.NOT_RUN, None, f"Not run. {error}", None, "", is_left_out=True))
    return found


def _load(folder: Path, otherwise: str) -> tuple[Run | None, str]:
    """The run, or a sentence that says why there is none."""
    try:
        return run_store.load_run(folder), ""
    except LabError as error:
        return None, f"{otherwise}: {error}"


def lab_run(name: str, profile: str, folder: Path) -> int:
    """`lab run` in a process group of its own: we pass Ctrl-C on once. Its table goes to stderr.

    `launch_command` binds it to our life, as everything that the lab starts.
    """
    command = [sys.executable, "-m", "bench", "run", name, "--profile", profile, "--out", str(folder)]
    with subprocess.Popen(launch_command(command), cwd=files.ROOT, stdout=2, start_new_session=True) as popen:
        try:
            return popen.wait()
        except KeyboardInterrupt:
            return _interrupt(popen)


def _interrupt(popen: subprocess.Popen[bytes]) -> int:
    """Pass the interruption on and wait until the run is saved; a second Ctrl-C is passed on as well."""
    popen.send_signal(signal.SIGINT)
    try:
        popen.wait(STOP_WITHIN_S)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        popen.send_signal(signal.SIGINT)
        try:
            popen.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            popen.kill()  # what it started ends with it
    return ExitCode.INTERRUPTED


def reproduce_all(names: Sequence[str], profile: str, folder: Path) -> list[Reproduction]:
    """Measure one after the other, also if one fails, until interrupted. Write the summary after each."""
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


def to_markdown(done: Sequence[Reproduction], profile: str) -> str:
    """One summary for all experiments: the outcome, then a table of claims for each."""
    code = code_of(done)
    parts = [f"# Reproduction, {profile} profile", f"{MEANING[code]} (exit code {int(code)})"]
    if done:
        head = ["experiment", "trials measured", "supported", "refuted", "cannot tell", "agree with reference", "s"]
        parts.append(_table(head, [":--", *["--:"] * 6], *map(_overview, done)))
    return "\n\n".join([*parts, *map(_section, done)]) + "\n"


def _table(*lines: Sequence[str]) -> str:
    return "\n".join(map(markdown_line, lines))


def _overview(one: Reproduction) -> list[str]:
    if one.run is None:
        return [f"`{one.name}`", *[HOLE] * 6]
    values = [it.here.value for it in one.comparisons]
    agreements = [it.agreement for it in one.comparisons]
    return [
        f"`{one.name}`",
        f"{sum(trial.is_measured for trial in one.run.trials)} of {one.run.plan.trials}",
        *(str(values.count(value)) for value in ("supported", "refuted", "cannot tell")),
        f"{agreements.count('agrees')} of {len(agreements)}" if one.reference else "no reference",
        f"{one.run.took_s:.0f}",
    ]


def _section(one: Reproduction) -> str:
    """The claims of one experiment, here and in the reference run, below what went wrong."""
    wrong = [one.trouble, verify.incomplete(one.run) if one.run else "", one.reference_trouble]
    parts = [f"## {one.name}", *(f"- {one_line(text)}" for text in wrong if text)]
    if one.comparisons:
        lines = (
            [it.agreement, verbatim(it.here.claim.says), *map(_finding_text, (it.here, it.there))]
            for it in one.comparisons
        )
        parts.append(_table(["", "claim", "here", "reference"], [":--"] * 4, *lines))
    elif one.run:
        parts.append("It claims nothing.")
    return "\n\n".join(parts)


def _finding_text(finding: ClaimFinding | None) -> str:
    return HOLE if finding is None else f"**{finding.value}** {verbatim(finding.text)}"


def publish(text: str, folder: Path) -> None:
    """Write the summary to stdout, to the folder, and to the summary of the CI job if there is one."""
    files.write_atomically(folder / SUMMARY, text.encode())
    print(text)
    if job := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(job).open("a", encoding="utf-8") as file:
            file.write(text)
    print(f"summary: {relative_to_here(folder / SUMMARY)}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the experiments, verify each, and write a summary; return the worst exit code of them."""
    parser = Parser(prog="scripts/reproduce", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="EXPERIMENT", help="only these (default: all)")
    parser.add_argument("--profile", default="quick", help="quick (default), standard or reference")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: results/local/reproduce-STAMP")
    arguments = parser.parse_args(argv)
    every = list(dict.fromkeys(arguments.names)) or experiment.experiment_names()
    for name in every:
        experiment.profile_of(experiment.load_experiment(name), arguments.profile)
    without = [] if arguments.names else left_out(every, arguments.profile)
    names = [name for name in every if name not in {one.name for one in without}]
    folder = (arguments.out or orphaned_runs.new_folder("reproduce")).resolve()
    with orphaned_runs.claim(folder, (SUMMARY, *names)):
        done = [*reproduce_all(names, arguments.profile, folder), *without]
        publish(to_markdown(done, arguments.profile), folder)
    return code_of(done)


if __name__ == "__main__":
    sys.exit(run_program(main))
