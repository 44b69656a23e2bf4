"""`scripts/reproduce`: measures every experiment here, verifies its claims, and compares them with `results/reference`.

Rates belong to a machine and are not compared. Claims about shapes, orders, ratios and counts are.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.analyse.findings import ClaimFinding, finding_for
from bench.base import files
from bench.base.console import relative_to_here, run_program
from bench.base.errors import ExitCode, LabError, NotRun
from bench.base.options import Parser, minutes
from bench.cli import saved_runs, verify
from bench.measure import orphaned_runs
from bench.measure.processes import launch_command
from bench.model import experiment, run_store
from bench.model.run_record import Run
from bench.model.trial_record import Trial
from bench.show.tables.formatting import HOLE, one_line, verbatim
from bench.show.tables.markdown import markdown_line

STOP_WITHIN_S, DEFAULT_MORE_MIN, MOST_MORE = 30.0, 10.0, 3
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
        if self.here.value == "cannot tell":
            return "undecided here"
        if self.there.value == "cannot tell":
            return "reference undecided"
        return "agrees" if self.here.value == self.there.value else "differs"

    @property
    def code(self) -> ExitCode:
        """What this claim does to the exit code."""
        if self.here.value == "refuted" or self.agreement == "differs":
            return ExitCode.FAILED
        return ExitCode.INVALID if self.here.value == "cannot tell" else ExitCode.FINE


@dataclass(frozen=True)
class Reproduction:
    """One experiment: how `lab run` ended, the run that it left, and the reference run; each with why it is missing.

    `more` are runs of only what undecided claims need, whose restarts count as those of the run.
    `is_left_out`: nobody asked for it by name, and an environment or a package that it needs is not there.
    """

    name: str
    exit_code: int
    run: Run | None
    trouble: str
    reference: Run | None
    reference_trouble: str
    more: tuple[Run, ...] = ()
    is_left_out: bool = False

    @property
    def comparisons(self) -> list[Comparison]:
        """Each claim of the run, judged by its trials and by those of the reference run."""
        measured = [trial for run in (self.run, *self.more) if run for trial in run.trials]
        findings = [finding_for(claim, measured) for claim in self.run.plan.claims] if self.run else []
        trials = self.reference.trials if self.reference else None
        return [Comparison(here, None if trials is None else finding_for(here.claim, trials)) for here in findings]

    @property
    def is_undecided(self) -> bool:
        """True if the run is whole and a claim of it cannot be told."""
        is_whole = self.run is not None and self.run.status == "complete"
        return is_whole and any(it.here.value == "cannot tell" for it in self.comparisons)

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


def decide(one: Reproduction, profile: str, folder: Path, until_s: float) -> Reproduction:
    """Measure what the undecided claims of an experiment need again and again, until they are decided.

    The restarts of all stacks are interleaved as in the run. It begins no more at `until_s`, a time of
    `time.monotonic()`, and does so at most `MOST_MORE` times: what restarts do not decide then has another cause.
    """
    while one.is_undecided and len(one.more) < MOST_MORE and time.monotonic() < until_s:
        again = folder / f"{one.name}-more-{len(one.more) + 1}"
        code = lab_run(one.name, profile, again, "--undecided", str(folder / one.name))
        found, _ = _load(again, "")
        if found is None or code == ExitCode.INTERRUPTED:
            return replace(one, exit_code=code if code == ExitCode.INTERRUPTED else one.exit_code)
        one = replace(one, more=(*one.more, found))
    return one


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


def lab_run(name: str, profile: str, folder: Path, *options: str) -> int:
    """`lab run` in a process group of its own: we pass Ctrl-C on once. Its table goes to stderr.

    `launch_command` binds it to our life, as everything that the lab starts.
    """
    command = [sys.executable, "-m", "bench", "run", name, "--profile", profile, "--out", str(folder), *options]
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


def reproduce_all(names: Sequence[str], profile: str, folder: Path, more_s: float) -> list[Reproduction]:
    """Measure one after the other, also if one fails, until interrupted; then for `more_s` what is undecided.

    Write the summary after each.
    """
    done: list[Reproduction] = []
    for name in names:
        print(f"reproduce: {name} ({len(done) + 1} of {len(names)})", file=sys.stderr)
        done.append(reproduce(name, profile, folder / name))
        files.write_atomically(folder / SUMMARY, to_markdown(done, profile).encode())
        if done[-1].exit_code == ExitCode.INTERRUPTED:
            return done
    until_s = time.monotonic() + more_s
    for place, one in enumerate(done):
        if one.is_undecided and time.monotonic() < until_s:
            print(f"reproduce: more restarts for what {one.name} leaves undecided", file=sys.stderr)
            done[place] = decide(one, profile, folder, until_s)
            files.write_atomically(folder / SUMMARY, to_markdown(done, profile).encode())
        if done[place].exit_code == ExitCode.INTERRUPTED:
            break
    return done


def code_of(done: Sequence[Reproduction]) -> ExitCode:
    """The exit code of all."""
    was_interrupted = any(one.exit_code == ExitCode.INTERRUPTED for one in done)
    return ExitCode.INTERRUPTED if was_interrupted else worst([one.code for one in done])


def to_markdown(done: Sequence[Reproduction], profile: str) -> str:
    """One summary for all experiments: the outcome, then a table of claims for each."""
    code = code_of(done)
    parts = [f"# Reproduction, {profile} profile", f"**{MEANING[code]}** (exit code {int(code)})"]
    if runs := [run for one in done for run in (one.run, *one.more) if run]:
        parts += [verify.machine_text(runs[0]), _disturbed(runs)]
    if done:
        head = ["experiment", "trials measured", "supported", "refuted", "cannot tell", "agree with reference"]
        head += ["restarts more", "disturbed", "s"]
        parts.append(_table(head, [":--", *["--:"] * 8], *map(_overview, done)))
    return "\n\n".join([*parts, *map(_section, done)]) + "\n"


def _table(*lines: Sequence[str]) -> str:
    return "\n".join(map(markdown_line, lines))


def _disturbed(runs: Sequence[Run]) -> str:
    """A sentence that says what a busy neighbour cost."""
    trials = [trial for run in runs for trial in run.trials]
    disturbed = sum(map(_is_disturbed, trials))
    if not disturbed:
        return f"None of {len(trials)} trials was disturbed by other programs."
    return f"{disturbed} of {len(trials)} trials were disturbed by other programs; their numbers have a reservation."


def _is_disturbed(trial: Trial) -> bool:
    return any(reason.code == "other-load" for reason in trial.reasons)


def _overview(one: Reproduction) -> list[str]:
    if one.run is None:
        return [f"`{one.name}`", *[HOLE] * 8]
    runs = [one.run, *one.more]
    values = [it.here.value for it in one.comparisons]
    agreements = [it.agreement for it in one.comparisons]
    return [
        f"[`{one.name}`]({one.name}/report.html)",
        f"{sum(trial.is_measured for trial in one.run.trials)} of {one.run.plan.trials}",
        *(str(values.count(value)) for value in ("supported", "refuted", "cannot tell")),
        f"{agreements.count('agrees')} of {len(agreements)}" if one.reference else "no reference",
        str(sum(run.plan.repeats for run in one.more)),
        str(sum(_is_disturbed(trial) for run in runs for trial in run.trials)),
        f"{sum(run.took_s for run in runs):.0f}",
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
    parser.add_argument(
        "--more",
        type=minutes,
        default=DEFAULT_MORE_MIN,
        metavar="MINUTES",
        help=f"for more restarts of what claims that cannot be told need (default: {DEFAULT_MORE_MIN:g})",
    )
    arguments = parser.parse_args(argv)
    every = list(dict.fromkeys(arguments.names)) or experiment.experiment_names()
    for name in every:
        experiment.profile_of(experiment.load_experiment(name), arguments.profile)
    without = [] if arguments.names else left_out(every, arguments.profile)
    names = [name for name in every if name not in {one.name for one in without}]
    folder = (arguments.out or orphaned_runs.new_folder("reproduce")).resolve()
    with orphaned_runs.claim(folder, (SUMMARY, *names)):
        done = [*reproduce_all(names, arguments.profile, folder, 60 * arguments.more), *without]
        publish(to_markdown(done, arguments.profile), folder)
    return code_of(done)


if __name__ == "__main__":
    sys.exit(run_program(main))
