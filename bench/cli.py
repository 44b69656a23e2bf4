"""`lab`: the one command. Reads words, calls the module that does it, turns errors into a sentence and an exit code."""

import argparse
import re
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from rich.console import Console

from bench import record
from bench.errors import ExitCode, LabError, UsageError, nearest
from bench.stacks import parse_stack
from bench.workloads import parse_request

MAX_USERS, MAX_REPEATS, MAX_DURATION_S, MAX_PROCESSES = 10_000, 100, 3600.0, 64


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence like all others."""

    def error(self, message: str) -> NoReturn:
        unknown = re.search(r"invalid choice: '?([^' ]*)'? \(choose from (.*)\)", message)
        if unknown:
            known = re.findall(r"[a-z_-]+", unknown[2])
            message = f"Unknown command {unknown[1]!r}: {nearest(unknown[1], known)}"
        sentence = message[0].upper() + message[1:].rstrip(".")
        stop = "" if sentence.endswith("?") else "."
        raise UsageError(f"{sentence}{stop} See `{self.prog} --help`.")


def words(text: str) -> list[str]:
    """A comma-separated list, empty words left out."""
    return [word.strip() for word in text.split(",") if word.strip()]


def whole(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers within bounds."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return read


def wholes(low: int, high: int) -> Callable[[str], list[int]]:
    """A reader of comma-separated whole numbers within bounds."""
    return lambda text: [whole(low, high)(word) for word in words(text)]


def seconds(text: str) -> float:
    """A duration above 0 s and up to an hour."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= MAX_DURATION_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds up to {MAX_DURATION_S:.0f}")
    return value


def build_parser() -> Parser:
    parser = Parser(prog="lab", description="Django under WSGI and ASGI, measured.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_list(commands)
    _add_serve(commands)
    _add_diff(commands)
    _add_run(commands)
    _add_report(commands)
    _add_doctor(commands)
    return parser


def _command(
    commands: Any, name: str, does: Callable[[argparse.Namespace], int], help_: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help_, description=help_)
    parser.set_defaults(does=does)
    return parser


def _json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout instead of a table")


def _add_list(commands: Any) -> None:
    _json_option(_command(commands, "list", list_, "show labs, servers, stacks, workloads and experiments"))


def _add_serve(commands: Any) -> None:
    parser = _command(commands, "serve", serve, "serve a stack in the foreground until Ctrl-C")
    parser.add_argument("stack", metavar="STACK", help="such as sync_wsgi@gthread:64 or async_asgi@uvicorn")
    parser.add_argument("--port", type=whole(1, 65535), default=8000)
    _middleware_option(parser)
    parser.add_argument("--cpus", type=wholes(0, 4095), default=[], help="core numbers, such as 0 or 0,1")
    parser.add_argument("--reload", action="store_true", help="start again when a file changes")


def _middleware_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--middleware",
        type=words,
        help="startproject for the seven of a new project, or names of: sync_only, async_only, both",
    )


def _add_diff(commands: Any) -> None:
    parser = _command(commands, "diff", diff, "show what differs between two labs")
    parser.add_argument("left", metavar="LAB")
    parser.add_argument("right", metavar="LAB")


def _add_run(commands: Any) -> None:
    parser = _command(commands, "run", run, "measure an experiment and write its report")
    parser.add_argument("experiment", metavar="EXPERIMENT", help="see `lab list`")
    parser.add_argument("--profile", default="quick", help="quick (default), standard or reference")
    listed: dict[str, Any] = {"action": "extend", "type": words, "default": []}
    parser.add_argument("--stack", **listed, metavar="STACK", help="instead of the experiment's; repeat or use commas")
    parser.add_argument("--workload", **listed, metavar="WORKLOAD", help="instead of the experiment's: 'wait?ms=10'")
    parser.add_argument(
        "--users",
        action="extend",
        type=wholes(1, MAX_USERS),
        default=[],
        metavar="N",
        help="users at once: 1,10,100",
    )
    _middleware_option(parser)
    parser.add_argument("--repeats", type=whole(1, MAX_REPEATS), help="server restarts per trial")
    parser.add_argument("--duration", type=seconds, metavar="S", help="seconds of each window")
    parser.add_argument("--seed", type=whole(0, 2**31 - 1), help="of the order of trials")
    parser.add_argument(
        "--load-processes", type=whole(1, MAX_PROCESSES), default=1, metavar="N", help="Locust processes"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the run is kept (default: results/local/)")
    _json_option(parser)


def _add_report(commands: Any) -> None:
    parser = _command(commands, "report", report, "show a run again and redraw its report")
    parser.add_argument("run", metavar="RUN", help="a folder, the name of a run, or latest")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    _json_option(parser)


def _add_doctor(commands: Any) -> None:
    _json_option(_command(commands, "doctor", doctor, "look at this machine and say what is missing"))


def list_(arguments: argparse.Namespace) -> int:
    from bench import listing

    if arguments.json:
        return print_json(listing.catalogue())
    listing.show(console())
    return ExitCode.FINE


def serve(arguments: argparse.Namespace) -> int:
    from bench import serve as serving

    stack = parse_stack(arguments.stack)
    check_cpus(arguments.cpus)
    serving.serve(
        stack,
        port=arguments.port,
        middleware=check_middleware(arguments.middleware or []),
        cpus=arguments.cpus,
        reload=arguments.reload,
        console=console(stderr=True),
    )
    return ExitCode.FINE


def diff(arguments: argparse.Namespace) -> int:
    from bench import labdiff

    out = console()
    for line in labdiff.difference(arguments.left, arguments.right):
        out.print(labdiff.coloured(line), soft_wrap=True)
    return ExitCode.FINE


def run(arguments: argparse.Namespace) -> int:
    from bench import experiment
    from bench.progress import RunProgress

    planned, ordered = experiment.new_run(arguments.experiment, arguments.profile, wishes_of(arguments))
    folder = new_folder(arguments.out, planned)
    with RunProgress(len(ordered), console(stderr=True)) as progress:
        finished = experiment.perform(planned, ordered, folder, before=progress.before, after=progress.after)
    if arguments.out is None:
        point_latest_at(folder)
    show(finished, folder, as_json=arguments.json)
    return exit_code_of(finished)


def wishes_of(arguments: argparse.Namespace) -> Any:
    """What was asked for on the command line, checked as far as names go."""
    from bench.experiment import Wishes

    middleware = None if arguments.middleware is None else tuple(check_middleware(arguments.middleware))
    given = {} if arguments.seed is None else {"seed": arguments.seed}
    return Wishes(
        stacks=tuple(parse_stack(text).name for text in arguments.stack),
        requests=tuple(parse_request(text).name for text in arguments.workload),
        users=tuple(arguments.users),
        middleware=middleware,
        repeats=arguments.repeats,
        duration_s=arguments.duration,
        load_processes=arguments.load_processes,
        **given,
    )


def report(arguments: argparse.Namespace) -> int:
    folder = record.find(arguments.run)
    loaded = record.load(folder)
    if arguments.markdown:
        from bench.tables import to_markdown

        print(to_markdown(loaded))
        return ExitCode.FINE
    show(loaded, folder, as_json=arguments.json)
    return ExitCode.FINE


def show(finished: record.Run, folder: Path, *, as_json: bool) -> None:
    """The table on stdout (or the whole run as JSON), and the report beside the run."""
    from bench.report import write_report
    from bench.tables import print_run

    path = write_report(finished, folder)
    if as_json:
        sys.stdout.buffer.write(record.to_json(finished))
    else:
        print_run(finished, console())
    console(stderr=True).print(f"report: {shown(path)}", soft_wrap=True, highlight=False)


def doctor(arguments: argparse.Namespace) -> int:
    from bench import doctor as physician

    checks = physician.examine()
    if arguments.json:
        print_json({"fit": physician.is_fit(checks), "checks": [asdict(check) for check in checks]})
    else:
        physician.show(checks, console())
    return ExitCode.FINE if physician.is_fit(checks) else ExitCode.NOT_RUN


def exit_code_of(finished: record.Run) -> int:
    """130 when interrupted, 4 when a trial is invalid, 3 when one could not run, else 0."""
    verdicts = {trial.verdict for trial in finished.trials}
    if finished.status == "aborted":
        return ExitCode.INTERRUPTED
    if "invalid" in verdicts:
        return ExitCode.INVALID
    return ExitCode.NOT_RUN if "not-run" in verdicts else ExitCode.FINE


def check_middleware(names: Sequence[str]) -> Sequence[str]:
    """UsageError where a name is not known to the labs."""
    from labs.common.middleware import NAMES

    for name in names:
        if name not in NAMES:
            raise UsageError(f"Unknown middleware {name!r}: {nearest(name, NAMES)}")
    return names


def check_cpus(cpus: Iterable[int]) -> None:
    """UsageError where a core does not exist here."""
    from bench.cpus import available

    for cpu in cpus:
        if available() and cpu not in available():
            raise UsageError(f"Core {cpu} is not usable here: choose from {', '.join(map(str, available()))}.")


def new_folder(out: Path | None, planned: record.Run) -> Path:
    """A folder for the run that holds no other."""
    if out is None:
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        out = record.LOCAL / f"{planned.experiment}-{planned.profile}-{stamp}"
    if (out / "run.json").exists():
        raise UsageError(f"{out} already holds a run: choose another folder with --out.")
    out.mkdir(parents=True, exist_ok=True)
    return out


def point_latest_at(folder: Path) -> None:
    """Let `results/local/latest` lead to the folder."""
    link = folder.parent / ".latest"
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    link.rename(folder.parent / "latest")


def shown(path: Path) -> Path:
    """The path as seen from here, where that is shorter."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def console(*, stderr: bool = False) -> Console:
    """A terminal without emoji codes: `gthread:100:` is a stack and a colon."""
    return Console(stderr=stderr, emoji=False)


def print_json(data: Any) -> int:
    """One JSON document on stdout."""
    print(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())
    return ExitCode.FINE


def guarded(does: Callable[[], int]) -> int:
    """Run a program to its exit code: a user's mistake is one sentence, never a traceback."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return int(does())
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"lab: {error.strerror or error} ({error.filename or 'no file'}).", file=sys.stderr)
        return ExitCode.FAILED
    except KeyboardInterrupt:
        print("lab: interrupted.", file=sys.stderr)
        return ExitCode.INTERRUPTED


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `lab`: returns the exit code."""

    def does() -> int:
        arguments = build_parser().parse_args(argv)
        return int(arguments.does(arguments))

    return guarded(does)


if __name__ == "__main__":
    sys.exit(main())
