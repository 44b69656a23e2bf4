"""`lab run` measures an experiment; `lab load-worker` generates load for a run on another machine."""

import argparse
import os
import secrets
from contextlib import suppress
from pathlib import Path

from bench.base.console import announce, console, relative_to_here
from bench.base.errors import ExitCode
from bench.cli import doctor, saved_runs
from bench.cli.overrides import check_cpus, overrides_of
from bench.cli.progress import RunProgress
from bench.measure import orphaned_runs, processes, runner, variables
from bench.measure.load.worker import Post, work
from bench.model import run_store
from bench.model.trial_plan import MASTER_PORT
from bench.trace.hop_counting import count_hops


def run(arguments: argparse.Namespace) -> int:
    """Measure an experiment, save the run and show it; return what `saved_runs.exit_code_of` says."""
    planned, ordered = runner.new_run(arguments.experiment, arguments.profile, overrides_of(arguments))
    folder = arguments.out or orphaned_runs.new_folder(f"{planned.experiment}-{planned.profile}")
    orphaned_runs.require_unused(folder)
    announce_what_to_know(folder)
    with RunProgress(len(ordered), console(stderr=True)) as progress:
        finished = runner.perform(
            planned, ordered, folder, before=progress.before, after=progress.after, count_hops=count_hops
        )
    if arguments.out is None:
        point_latest_at(folder)
    saved_runs.show(run_store.load_run(folder), folder, as_json=arguments.json)
    return saved_runs.exit_code_of(finished)


def announce_what_to_know(folder: Path) -> None:
    """Before the first trial: clear up after killed runs, then say which ones, and what else keeps the machine busy."""
    processes.remove_abandoned_folders()
    notes = [*orphaned_runs.abort_orphaned_runs({run_store.LOCAL, folder.parent}), *variables.find_warnings()]
    load = doctor.check_other_load()
    if load.state != "fine":
        notes.append(f"The machine is busy, {load.seen}: {load.remedy}.")
    for note in notes:
        announce(note)


def point_latest_at(folder: Path) -> None:
    """Let `results/local/latest` lead to the folder; announce it if there is something else of that name."""
    latest, link = folder.with_name("latest"), folder.with_name(f".latest-{secrets.token_hex(4)}")
    try:
        if os.path.lexists(latest) and not _is_link_beside(latest):
            raise FileExistsError(0, "there is something else of that name")
        link.symlink_to(folder.name)
        link.replace(latest)
    except OSError as error:
        with suppress(OSError):
            link.unlink()
        announce(
            f"{relative_to_here(latest)} does not lead to this run ({error.strerror}): "
            f"`lab report {folder.name}` shows it."
        )


def _is_link_beside(path: Path) -> bool:
    """True for a link to what lies in the same folder, as `point_latest_at` makes them."""
    return path.is_symlink() and len(path.readlink().parts) == 1


def work_for_master(arguments: argparse.Namespace) -> int:
    """Generate load for a master on another machine until Ctrl-C."""
    check_cpus(arguments.cpus)
    master = arguments.master
    work(Post(master.host, master.port or MASTER_PORT, arguments.cpus, arguments.i_own_this_host), console(stderr=True))
    return ExitCode.FINE
