"""The words that `lab` understands: its commands and their options."""

import argparse
from pathlib import Path
from typing import Any

from bench.base.options import (
    Parser,
    address,
    header,
    host,
    http_address,
    positive_numbers,
    seconds,
    whole,
    wholes,
    words,
)
from bench.model.bounds import MAX_CONNECTIONS, MAX_USERS
from bench.model.servers import HOST

MAX_REPEATS, MAX_PROCESSES = 100, 64


def build_parser() -> Parser:
    """All commands of `lab` with their options; the namespace names one in `command`."""
    parser = Parser(prog="lab", description="Django under WSGI and ASGI, measured.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_list(commands)
    _add_serve(commands)
    _add_diff(commands)
    _add_run(commands)
    _add_load_worker(commands)
    _add_report(commands)
    _add_compare(commands)
    _add_verify(commands)
    _add_trace(commands)
    _add_check(commands)
    _add_claims(commands)
    _add_doctor(commands)
    _add_notebooks(commands)
    return parser


def _command(commands: Any, name: str, help_: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help_, description=help_)
    return parser


def _json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout instead of a table")


def _add_list(commands: Any) -> None:
    _json_option(_command(commands, "list", "show labs, servers, stacks, workloads and experiments"))


def _add_serve(commands: Any) -> None:
    parser = _command(commands, "serve", "serve a stack in the foreground until Ctrl-C")
    parser.add_argument("stack", metavar="STACK", help="such as sync_wsgi@gthread:64 or async_asgi@uvicorn")
    parser.add_argument("--port", type=whole(1, 65535), default=8000)
    parser.add_argument(
        "--bind", type=host, metavar="ADDRESS", default=HOST, help="of this machine (default: loopback)"
    )
    _own_host_option(parser)
    _middleware_option(parser)
    parser.add_argument("--cpus", type=wholes(0, 4095), default=[], help="core numbers, such as 0 or 0,1")
    parser.add_argument("--reload", action="store_true", help="start again when a file changes")


def _middleware_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--middleware",
        type=words,
        help="outermost first: startproject for the seven of a new project or their names (security, session, ...), "
        "sync_only, async_only, both",
    )


def _add_diff(commands: Any) -> None:
    parser = _command(commands, "diff", "show what differs between two labs")
    parser.add_argument("left", metavar="LAB")
    parser.add_argument("right", metavar="LAB")


def _add_run(commands: Any) -> None:
    parser = _command(commands, "run", "measure an experiment and write its report")
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
    parser.add_argument(
        "--connections",
        action="extend",
        type=wholes(1, MAX_CONNECTIONS),
        default=[],
        metavar="N",
        help="of an experiment that holds or leaves them: 10,1000",
    )
    _middleware_option(parser)
    parser.add_argument("--repeats", type=whole(1, MAX_REPEATS), help="server restarts per trial")
    parser.add_argument("--duration", type=seconds, metavar="S", help="seconds of each window")
    parser.add_argument("--seed", type=whole(0, 2**31 - 1), help="of the order of trials")
    _engine_options(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="a folder for this run alone (default: a new one in results/local/)"
    )
    _json_option(parser)


def _engine_options(parser: argparse.ArgumentParser) -> None:
    engine = parser.add_argument_group("the load, and where it comes from and goes to")
    engine.add_argument(
        *("--rate",), dest="rates", action="extend", type=positive_numbers, default=[], metavar="R",
        help="an open loop: requests/s on a schedule, whatever happens: 100,200",
    )  # fmt: skip
    engine.add_argument("--schedule", choices=["poisson", "constant"], default="poisson", help="of an open loop")
    processes = whole(1, MAX_PROCESSES)
    engine.add_argument("--load-processes", type=processes, metavar="N", help="Locust processes on this machine")
    engine.add_argument("--expect-workers", type=processes, metavar="N", help="on others: see `lab load-worker`")
    engine.add_argument(
        *("--bind",), type=address, metavar="ADDRESS[:PORT]", help="of this machine, where those workers find it"
    )
    engine.add_argument(
        "--target", type=http_address, metavar="URL", help="a server that is there already, instead of one of ours"
    )
    _own_host_option(engine)


def _own_host_option(parser: Any) -> None:
    parser.add_argument("--i-own-this-host", action="store_true", help="needed for every address beyond loopback")


def _add_load_worker(commands: Any) -> None:
    parser = _command(commands, "load-worker", "make load for a run on another machine, until Ctrl-C")
    parser.add_argument(
        *("--master",), type=address, required=True, metavar="HOST[:PORT]", help="where `lab run --bind` listens"
    )
    parser.add_argument("--cpus", type=wholes(0, 4095), default=[], help="core numbers, such as 0 or 0,1")
    _own_host_option(parser)


def _add_report(commands: Any) -> None:
    parser = _command(commands, "report", "show a run again and redraw its report")
    parser.add_argument("run", metavar="RUN", help="a folder, the name of a run, or latest")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    _json_option(parser)


def _add_compare(commands: Any) -> None:
    parser = _command(commands, "compare", "set two runs side by side: the second over the first")
    parser.add_argument("first", metavar="RUN", help="a folder, the name of a run, or latest")
    parser.add_argument("second", metavar="RUN")
    parser.add_argument("--anyway", action="store_true", help="also where machine, versions or capabilities differ")
    parser.add_argument("--markdown", action="store_true", help="for a pull request")
    _json_option(parser)


def _add_verify(commands: Any) -> None:
    parser = _command(commands, "verify", "judge the claims of a run")
    parser.epilog = "Exit codes: 0 all supported, 1 one refuted, 4 none refuted but some cannot be told."
    parser.add_argument("run", metavar="RUN", nargs="?", default="latest", help="as for report (default: latest)")
    _json_option(parser)


def _add_trace(commands: Any) -> None:
    parser = _command(commands, "trace", "show which thread each part of a request runs on, of a lab or of any project")
    parser.usage = "lab trace [options] (STACK WORKLOAD | --app MODULE:NAME PATH)"
    parser.add_argument("words", metavar="STACK WORKLOAD | PATH", nargs="*", help="such as async_asgi@uvicorn hello")
    parser.add_argument("--app", metavar="MODULE:NAME", help="your own ASGI or WSGI application, as it is")
    parser.add_argument(
        *("--python",),
        metavar="PROGRAM",
        help="the Python to trace it in (default: the project's .venv or venv, else the active one, else the lab's)",
    )
    _middleware_option(parser)
    asks = parser.add_argument_group("the request")
    asks.add_argument("--method", default="GET")
    asks.add_argument("--header", type=header, action="append", default=[], metavar="'NAME: VALUE'")
    asks.add_argument("--data", default="", metavar="TEXT", help="the body")
    asks.add_argument("--leave-after", type=seconds, metavar="S", help="the client goes away after so many seconds")
    asks.add_argument(
        *("--no-warm-up",),
        action="store_true",
        help="ask once only. By default a GET, HEAD or OPTIONS without --leave-after is asked once before, untraced, "
        "because a first request imports and connects",
    )
    asks.add_argument("--time-limit", type=seconds, default=30.0, metavar="S", help="for all of it (default: 30)")
    shows = parser.add_argument_group("what comes of it")
    shows.add_argument("--perfetto", type=Path, metavar="FILE", help="for ui.perfetto.dev and chrome://tracing")
    shows.add_argument("--svg", type=Path, metavar="FILE", help="the picture")
    shows.add_argument("--serve", action="store_true", help="a server that tells each request's hops, until Ctrl-C")
    shows.add_argument("--port", type=whole(1, 65535), default=8000, help="of --serve")
    _json_option(parser)


def _add_check(commands: Any) -> None:
    parser = _command(commands, "check", "check an exercise of labs/exercises, or list all of them with their state")
    parser.epilog = "Exit codes: 0 pass, 1 not yet, 3 this machine lacks what the check needs."
    parser.add_argument("exercise", metavar="EXERCISE", nargs="?", help="such as blocking_view; without it all of them")
    parser.add_argument("--solution", action="store_true", help="the same file of labs/solutions instead")
    _json_option(parser)


def _add_claims(commands: Any) -> None:
    parser = _command(commands, "claims", "what people say of Django, WSGI and ASGI, and what happens here")
    parser.epilog = "Exit codes of --check: 0 as kept, 1 a finding has changed, 3 some could not be asked here."
    parser.add_argument("id", metavar="ID", nargs="?", help="one of them, such as N5")
    parser.add_argument("--finding", metavar="FINDING", help="only those kept as supported, refuted or cannot-tell")
    parser.add_argument("--lesson", metavar="LESSON", help="only those that a lesson settles, such as 05_orm or 05")
    does = parser.add_mutually_exclusive_group()
    does.add_argument("--check", action="store_true", help="ask everything again that needs no load (two minutes)")
    does.add_argument("--write", action="store_true", help="keep what is found in results/reference/claims.json")
    _json_option(parser)


def _add_doctor(commands: Any) -> None:
    _json_option(_command(commands, "doctor", "look at this machine and say what is missing"))


def _add_notebooks(commands: Any) -> None:
    parser = _command(commands, "notebooks", "open JupyterLab on the course, until Ctrl-C")
    parser.add_argument("--live", action="store_true", help="let the live cells measure on this machine")
    parser.add_argument("--port", type=whole(1, 65535), default=8888)
    parser.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
