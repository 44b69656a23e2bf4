"""`lab`: the one command. Each function is one of its commands and calls the module that does it.

What may be typed is in `arguments.py`, how errors become a sentence and an exit code in `terminal.py`.
"""

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from bench.base.console import announce, console, guarded, print_json, print_text, shown
from bench.base.errors import ExitCode, NotKept
from bench.cli.arguments import build_parser
from bench.model import run_record, run_store
from bench.model.stacks import parse_stack


def list_(arguments: argparse.Namespace) -> int:
    """Print the labs, servers, stacks, workloads and experiments that exist; with `--json` as one JSON document."""
    from bench.cli import listing

    if arguments.json:
        return print_json(listing.catalogue())
    listing.show(console())
    return ExitCode.FINE


def serve(arguments: argparse.Namespace) -> int:
    """Serve a stack until Ctrl-C. Raises UsageError for unknown names and for hosts that the user has not claimed."""
    from bench.cli import serve as serving
    from bench.cli.overrides import check_cpus, check_middleware, check_owned
    from bench.measure.ports import own_address

    stack = parse_stack(arguments.stack)
    check_cpus(arguments.cpus)
    check_owned(arguments.bind, arguments)
    serving.serve(
        stack,
        host=own_address(arguments.bind),
        port=arguments.port,
        middleware=check_middleware(arguments.middleware or []),
        cpus=arguments.cpus,
        reload=arguments.reload,
        console=console(stderr=True),
    )
    return ExitCode.FINE


def load_worker(arguments: argparse.Namespace) -> int:
    """Make load for a master on another machine until Ctrl-C."""
    from bench.cli.overrides import check_cpus
    from bench.measure.load.worker import Post, work
    from bench.model.trial_plan import MASTER_PORT

    check_cpus(arguments.cpus)
    master, owns_target = arguments.master, arguments.i_own_this_host
    post = Post(master.host, master.port or MASTER_PORT, arguments.cpus, owns_target)
    work(post, console(stderr=True))
    return ExitCode.FINE


def diff(arguments: argparse.Namespace) -> int:
    """Print what differs between two labs. Raises UsageError for unknown names."""
    from bench.cli import diff

    out = console()
    for line in diff.difference(arguments.left, arguments.right):
        out.print(diff.coloured(line), soft_wrap=True)
    return ExitCode.FINE


def run(arguments: argparse.Namespace) -> int:
    """Measure an experiment, save the run and show it; return what `exit_code_of` says."""
    from bench.cli.overrides import overrides_of
    from bench.cli.progress import RunProgress
    from bench.measure import orphaned_runs, runner
    from bench.trace.hop_counting import count_hops

    planned, ordered = runner.new_run(arguments.experiment, arguments.profile, overrides_of(arguments))
    folder = arguments.out or orphaned_runs.new_folder(f"{planned.experiment}-{planned.profile}")
    orphaned_runs.require_unused(folder)
    tell_before(folder)
    with RunProgress(len(ordered), console(stderr=True)) as progress:
        finished = runner.perform(
            planned, ordered, folder, before=progress.before, after=progress.after, count_hops=count_hops
        )
    if arguments.out is None:
        point_latest_at(folder)
    show(run_store.load_run(folder), folder, as_json=arguments.json)
    return exit_code_of(finished)


def tell_before(folder: Path) -> None:
    """What a user should know before the first trial: runs whose `lab` was killed, and who else is busy here."""
    from bench.cli import doctor
    from bench.measure import orphaned_runs, processes, variables

    processes.remove_work_of_the_dead()
    notes = orphaned_runs.abort_those_of_the_dead({run_store.LOCAL, folder.parent})
    notes.extend(variables.notes())
    load = doctor.other_load()
    if load.state != "fine":
        notes.append(f"The machine is busy, {load.seen}: {load.remedy}.")
    for note in notes:
        announce(note)


def report(arguments: argparse.Namespace) -> int:
    """Print a saved run and write its report anew; with `--markdown` only print it, as Markdown."""
    folder = run_store.find_run(arguments.run)
    loaded = run_store.load_run(folder)
    if arguments.markdown:
        from bench.show.tables.markdown import to_markdown

        print_text(to_markdown(loaded))
        return ExitCode.FINE
    show(loaded, folder, as_json=arguments.json)
    return ExitCode.FINE


def compare(arguments: argparse.Namespace) -> int:
    """Print two saved runs side by side: a table, Markdown, or JSON."""
    from bench.analyse import compare as comparing
    from bench.show import comparison

    first, second = (run_store.load_run(run_store.find_run(name)) for name in (arguments.first, arguments.second))
    found = comparing.compare(first, second, anyway=arguments.anyway)
    if arguments.json:
        return print_json(comparison.to_json(found))
    if arguments.markdown:
        print_text(comparison.to_markdown(found))
    else:
        comparison.show(found, console())
    return ExitCode.FINE


def verify(arguments: argparse.Namespace) -> int:
    """Judge the claims of a saved run; return FAILED if one is refuted, INVALID if one cannot be told."""
    from bench.cli import verify as verifying

    judged = run_store.load_run(run_store.find_run(arguments.run))
    findings = verifying.judged(judged)
    if arguments.json:
        print_json(verifying.to_json(judged, findings))
    else:
        verifying.show(judged, findings, console())
    return verifying.code_of(findings)


def show(finished: run_record.Run, folder: Path, *, as_json: bool) -> None:
    """The table on stdout (as JSON with the whole run), and the report beside the run."""
    from bench.show.report import write_report
    from bench.show.tables.json_rows import to_json
    from bench.show.tables.terminal import print_run

    if as_json:
        print_json(to_json(finished))
    else:
        print_run(finished, console())
    try:
        path = write_report(finished, folder)
    except OSError as error:
        raise NotKept(
            f"The report could not be written to {shown(folder)} ({error.strerror or error}): "
            f"make room there, then `lab report {folder}` draws it."
        ) from None
    console(stderr=True).print(f"report: {shown(path)}", soft_wrap=True, highlight=False, markup=False)


def check(arguments: argparse.Namespace) -> int:
    """Check exercises on real servers and print what was seen; return FAILED if one does not pass yet."""
    from bench.learn.exercises import catalogue

    told = console(stderr=True)
    found = catalogue.check(
        arguments.exercise,
        solution=arguments.solution,
        before=lambda name: told.print(f"checking {name}", style="dim", highlight=False),
    )
    if arguments.json:
        print_json({"exercises": [each.to_json() for each in found]})
    else:
        catalogue.show(found, console())
    return catalogue.code_of(found)


def trace(arguments: argparse.Namespace) -> int:
    """Trace one request of a stack or of the user's own application."""
    from bench.cli import trace

    return trace.trace(arguments)


def notebooks(arguments: argparse.Namespace) -> int:
    """Open the lessons in Jupyter; the process becomes Jupyter and does not return."""
    from bench.learn import jupyter

    jupyter.open_(arguments.port, browser=not arguments.no_browser, live=arguments.live)


def claims(arguments: argparse.Namespace) -> int:
    """Print common claims with what the kept runs say, or measure them again."""
    from bench.cli import claims

    return claims.claims(arguments)


def doctor(arguments: argparse.Namespace) -> int:
    """Examine this machine and print each check; return NOT_RUN if it is not fit to measure."""
    from bench.cli import doctor as physician

    checks = physician.examine()
    if arguments.json:
        print_json({"fit": physician.is_fit(checks), "checks": [asdict(check) for check in checks]})
    else:
        physician.show(checks, console())
    return ExitCode.FINE if physician.is_fit(checks) else ExitCode.NOT_RUN


def exit_code_of(finished: run_record.Run) -> int:
    """130 when interrupted, 4 when a trial is invalid, 3 when one could not run, else 0."""
    verdicts = {trial.verdict for trial in finished.trials}
    if finished.status == "aborted":
        return ExitCode.INTERRUPTED
    if "invalid" in verdicts:
        return ExitCode.INVALID
    return ExitCode.NOT_RUN if "not-run" in verdicts else ExitCode.FINE


def point_latest_at(folder: Path) -> None:
    """Let `results/local/latest` lead to the folder; one sentence where something else is there under that name."""
    latest, link = folder.with_name("latest"), folder.with_name(f".latest-{secrets.token_hex(4)}")
    try:
        if os.path.lexists(latest) and not is_link_beside(latest):
            raise FileExistsError(0, "there is something else of that name")
        link.symlink_to(folder.name)
        link.replace(latest)
    except OSError as error:
        with suppress(OSError):
            link.unlink()
        announce(f"{shown(latest)} does not lead to this run ({error.strerror}): `lab report {folder.name}` shows it.")


def is_link_beside(path: Path) -> bool:
    """True for a link to what lies in the same folder, as `point_latest_at` makes them."""
    return path.is_symlink() and len(path.readlink().parts) == 1


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": list_,
    "serve": serve,
    "diff": diff,
    "run": run,
    "load-worker": load_worker,
    "report": report,
    "compare": compare,
    "verify": verify,
    "trace": trace,
    "check": check,
    "claims": claims,
    "doctor": doctor,
    "notebooks": notebooks,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `lab`: returns the exit code."""

    def does() -> int:
        arguments = build_parser().parse_args(argv)
        return COMMANDS[arguments.command](arguments)

    return guarded(does)


if __name__ == "__main__":
    sys.exit(main())
