"""`lab report` shows a saved run, `lab compare` two of them. Figures are imported late: it takes most of a second."""

import argparse
from pathlib import Path

from bench.base.console import console, print_json, print_text, relative_to_here
from bench.base.errors import ExitCode, NotKept, UsageError
from bench.model import run_record, run_store


def report(arguments: argparse.Namespace) -> int:
    """Print a saved run and write its report again; with `--markdown` only print it, as Markdown."""
    folder = run_store.find_run(arguments.run)
    loaded = run_store.load_run(folder)
    if arguments.markdown:
        from bench.show.tables.markdown import to_markdown

        print_text(to_markdown(loaded))
    else:
        show(loaded, folder, as_json=arguments.json)
    return ExitCode.FINE


def show(finished: run_record.Run, folder: Path, *, as_json: bool) -> None:
    """Print the table, or the whole run as JSON, and write the report into the run's folder. Raises NotKept."""
    from bench.show import report
    from bench.show.tables import json_rows, terminal

    if as_json:
        print_json(json_rows.to_json(finished))
    else:
        terminal.print_run(finished, console())
    try:
        path = report.write_report(finished, folder)
    except OSError as error:
        raise NotKept(
            f"The report could not be written to {relative_to_here(folder)} ({error.strerror or error}): "
            f"make room there, then run `lab report {folder}`."
        ) from None
    console(stderr=True).print(f"report: {relative_to_here(path)}", soft_wrap=True, highlight=False, markup=False)


def compare(arguments: argparse.Namespace) -> int:
    """Print two saved runs, or two environments of one, side by side: as a table, Markdown, or JSON."""
    from bench.analyse.compare import compare as compare_runs
    from bench.analyse.compare import compare_environments
    from bench.show import comparison

    if arguments.environment and (len(arguments.environment) != 2 or arguments.second):
        raise UsageError("Two environments of one run are compared: `lab compare RUN --environment A,B`.")
    if not arguments.environment and not arguments.second:
        raise UsageError("Name a second run, or two environments of this one with --environment A,B.")
    runs = [run_store.load_run(run_store.find_run(name)) for name in (arguments.first, arguments.second) if name]
    if arguments.environment:
        found = compare_environments(runs[0], *arguments.environment, threshold=arguments.threshold / 100)
    else:
        found = compare_runs(runs[0], runs[1], anyway=arguments.anyway, threshold=arguments.threshold / 100)
    if arguments.json:
        print_json(comparison.to_json(found))
    elif arguments.markdown:
        print_text(comparison.to_markdown(found))
    else:
        comparison.show(found, console())
    return ExitCode.FINE


def exit_code_of(finished: run_record.Run) -> int:
    """130 when interrupted, 4 when a trial is invalid, 3 when one could not run, else 0."""
    verdicts = {trial.verdict for trial in finished.trials}
    if finished.status == "aborted":
        return ExitCode.INTERRUPTED
    if "invalid" in verdicts:
        return ExitCode.INVALID
    return ExitCode.NOT_RUN if "not-run" in verdicts else ExitCode.FINE
