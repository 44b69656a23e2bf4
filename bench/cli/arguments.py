"""The commands of `lab`: the help and options of each, and the function that does it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.base import options
from bench.base.files import LOCAL
from bench.base.options import Parser, address, seconds, whole, wholes, words
from bench.model.bounds import MATTERS_FROM, MAX_CONNECTIONS, MAX_USERS
from bench.model.servers import HOST
from bench.model.trial_plan import PROGRAMS

SITE = LOCAL / "site"
MAX_REPEATS, MAX_PROCESSES, MAX_THREADS = 100, 64, 1000


class Option(NamedTuple):
    """What `add_argument` takes."""

    names: tuple[str, ...]
    settings: dict[str, Any]


class Group(NamedTuple):
    """Options under a title of their own in the help; without a title only one of them may be given."""

    title: str
    options: Sequence[Option]


class Command(NamedTuple):
    """One command. `function`, as `module:name` in bench, takes the parsed arguments and returns the exit code.

    It is imported only when it is called, so that `lab --help` and mistakes are answered at once.
    """

    function: str
    help: str
    options: Sequence[Option | Group] = ()
    epilog: str | None = None
    usage: str | None = None


def option(*names: str, **settings: Any) -> Option:
    """Describe an option, or an argument without dashes, in the words of `add_argument`."""
    return Option(names, settings)


def switch(name: str, help_: str) -> Option:
    """Describe an option that takes no value."""
    return option(name, action="store_true", help=help_)


def several(name: str, type_: Any, metavar: str, help_: str, **more: Any) -> Option:
    """Describe an option that may be repeated, or takes a list with commas."""
    return option(name, action="extend", type=type_, default=[], metavar=metavar, help=help_, **more)


PORT, PROCESSES = whole(1, 65535), whole(1, MAX_PROCESSES)
JSON = switch("--json", "print one JSON document instead of a table")
CPUS = option("--cpus", type=wholes(0, 4095), default=[], help="the cores to use, such as 0 or 0,1")
OWN_HOST = switch("--i-own-this-host", "confirm that an address other than loopback is yours to load")
RUN = "a folder, the name of a run, or latest"
STACK = "such as sync_wsgi@gthread:64 or async_asgi@uvicorn"
MIDDLEWARE = option(
    "--middleware",
    type=words,
    help="outermost first: startproject (the seven of a new project) or names of those (security, session, ...), "
    "sync_only, async_only, both",
)
LOAD_OPTIONS = Group(
    "the load: its kind, where it comes from, where it goes",
    [
        several(
            "--rate",
            options.rates_per_s,
            "R",
            "open loop: requests/s on a fixed schedule, such as 100,200",
            dest="rates",
        ),
        option(
            "--schedule", choices=["poisson", "constant"], default="poisson", help="of an open loop (default: poisson)"
        ),
        option(
            "--engine",
            choices=list(PROGRAMS),
            default="locust",
            help="the program that drives a closed loop (default: locust); wrk sends several times as many requests",
        ),
        option("--load-processes", type=PROCESSES, metavar="N", help="load processes on this machine"),
        option(
            "--expect-workers",
            type=PROCESSES,
            metavar="N",
            help="load processes on other machines; see `lab load-worker`",
        ),
        option(
            "--bind",
            type=address,
            metavar="ADDRESS[:PORT]",
            help="address of this machine that those workers connect to",
        ),
        option("--target", type=options.http_address, metavar="URL", help="measure a server that already runs there"),
        OWN_HOST,
    ],
)
TRACED_REQUEST = Group(
    "the request",
    [
        option("--method", default="GET"),
        option("--header", type=options.header, action="append", default=[], metavar="'NAME: VALUE'"),
        option("--data", default="", metavar="TEXT", help="the body"),
        option("--leave-after", type=seconds, metavar="S", help="the client disconnects after so many seconds"),
        switch(
            "--no-warm-up",
            "send one request only. By default a GET, HEAD or OPTIONS without --leave-after is first sent once "
            "untraced, because a first request imports modules and opens connections",
        ),
        option("--time-limit", type=seconds, default=30.0, metavar="S", help="for everything together (default: 30)"),
    ],
)
TRACE_OUTPUT = Group(
    "the output",
    [
        option("--perfetto", type=Path, metavar="FILE", help="write a trace for ui.perfetto.dev and chrome://tracing"),
        option("--svg", type=Path, metavar="FILE", help="write the picture"),
        switch("--serve", "start a server that prints the hops of each request, until Ctrl-C"),
        option("--port", type=PORT, default=8000, help="of --serve (default: 8000)"),
    ],
)
BLOCKING = Group(
    "what blocks the event loop",
    [
        switch(
            "--blocking",
            "instead of hops, show which calls keep the event loop from turning, and how to mend them. A safe request "
            "is sent six times; with --serve, use the site and end with Ctrl-C",
        ),
        option(
            "--blocking-over",
            type=options.milliseconds,
            default=20.0,
            metavar="MS",
            help="the shortest time that counts (default: 20)",
        ),
    ],
)
TRIED_LOAD = Group(
    "the load",
    [
        option("--log", type=Path, metavar="FILE", help="take pages and their weights from a combined access log"),
        several(
            "--users",
            wholes(1, MAX_USERS),
            "N",
            "requests in flight at once (default: from the log by Little's law, else a sweep)",
        ),
        option(
            "--threads",
            type=whole(1, MAX_THREADS),
            default=64,
            metavar="N",
            help="the largest pool of threads that you would configure (default: 64)",
        ),
        option("--memory", type=options.size, metavar="SIZE", help="for all processes together, such as 2G"),
        option(
            "--what-if",
            type=words,
            default=[],
            metavar="LIST",
            help="also measure what the lab's own handlers would bring: zero_hop, folded, pinned_pool",
        ),
        option(
            "--blocking-over",
            type=options.milliseconds,
            default=20.0,
            metavar="MS",
            help="report what keeps the event loop from turning for longer (default: 20)",
        ),
    ],
)
TRIED_REQUESTS = Group(
    "the requests",
    [
        option("--login", metavar="USER", help="log in as this user, by a session in the copied database"),
        option("--cookie", action="append", default=[], metavar="NAME=VALUE", type=options.cookie),
        option("--header", type=options.header, action="append", default=[], metavar="'NAME: VALUE'"),
        several("--without", words, "LIST", "leave out throttles, caches, or both"),
        switch("--allow-unsafe-methods", "send also other methods than GET and HEAD, such as 'POST /search'"),
    ],
)
TRIED_HARM = Group(
    "what could do harm",
    [
        switch("--allow-network", "let the project connect to other machines; by default that is refused and counted"),
        switch("--i-own-this-database", "confirm that a database on another machine is yours to copy and to load"),
        switch("--empty-database", "begin with migrated, empty databases instead of copies"),
        option(
            "--fixtures",
            action="extend",
            nargs="+",
            default=[],
            metavar="FILE",
            help="load these into a migrated, empty database",
        ),
    ],
)

COMMANDS = {
    "list": Command(
        "bench.cli.listing:print_catalogue", "list labs, servers, stacks, workloads and experiments", [JSON]
    ),
    "serve": Command(
        "bench.cli.serve:serve",
        "serve a stack in the foreground until Ctrl-C",
        [
            option("stack", metavar="STACK", help=STACK),
            option("--port", type=PORT, default=8000, help="default: 8000"),
            option(
                "--bind",
                type=options.host,
                metavar="ADDRESS",
                default=HOST,
                help="address of this machine (default: loopback)",
            ),
            OWN_HOST,
            MIDDLEWARE,
            CPUS,
            switch("--reload", "restart the server when a file changes"),
        ],
    ),
    "diff": Command(
        "bench.cli.diff:print_difference",
        "show what differs between two labs",
        [option("left", metavar="LAB"), option("right", metavar="LAB")],
    ),
    "run": Command(
        "bench.cli.run:run",
        "measure an experiment and write its report",
        [
            option("experiment", metavar="EXPERIMENT", help="see `lab list`"),
            option("--profile", default="quick", help="quick (default), standard or reference"),
            several("--stack", words, "STACK", "replaces the experiment's stacks; repeat it or use commas"),
            several("--workload", words, "WORKLOAD", "replaces the experiment's workloads, such as 'wait?ms=10'"),
            several("--users", wholes(1, MAX_USERS), "N", "numbers of users at once, such as 1,10,100"),
            several(
                "--connections",
                wholes(1, MAX_CONNECTIONS),
                "N",
                "numbers of connections, in an experiment that holds, drops, slows or streams them, such as 10,1000",
            ),
            several("--environment", words, "NAME", "measures every stack in each of these; see `lab env list`"),
            option(
                "--server-cores",
                type=PROCESSES,
                metavar="N",
                help="cores for each server, also the load's if there are no others (default: one for each process)",
            ),
            MIDDLEWARE,
            option("--repeats", type=whole(1, MAX_REPEATS), help="server restarts per trial"),
            option("--duration", type=seconds, metavar="S", help="seconds of each measured window"),
            option("--seed", type=whole(0, 2**31 - 1), help="of the random order of trials"),
            option("--undecided", metavar="RUN", help="measure only what the undecided claims of this run need"),
            LOAD_OPTIONS,
            option(
                "--out",
                type=Path,
                metavar="FOLDER",
                help="a folder for this run alone (default: a new one in results/local/)",
            ),
            JSON,
        ],
    ),
    "load-worker": Command(
        "bench.cli.run:work_for_master",
        "generate load for a run on another machine, until Ctrl-C",
        [
            option(
                "--master", type=address, required=True, metavar="HOST[:PORT]", help="where `lab run --bind` listens"
            ),
            CPUS,
            OWN_HOST,
        ],
    ),
    "report": Command(
        "bench.cli.saved_runs:report",
        "print the table of a run and write its report again",
        [option("run", metavar="RUN", help=RUN), switch("--markdown", "print the table as Markdown"), JSON],
    ),
    "compare": Command(
        "bench.cli.saved_runs:compare",
        "compare two runs, or two environments of one: ratios of the second to the first",
        [
            option("first", metavar="RUN", help=RUN),
            option("second", metavar="RUN", nargs="?"),
            several("--environment", words, "A,B", "compare these environments of one run, such as py313,py313t"),
            option(
                "--threshold",
                type=options.percent,
                default=100 * MATTERS_FROM,
                metavar="PERCENT",
                help=f"a change below this does not matter (default: {100 * MATTERS_FROM:g})",
            ),
            switch("--anyway", "compare even if machines, versions or capabilities differ"),
            switch("--markdown", "print Markdown, for a pull request"),
            JSON,
        ],
    ),
    "verify": Command(
        "bench.cli.verify:verify",
        "judge the claims of a run",
        [
            option("run", metavar="RUN", nargs="?", default="latest", help=f"{RUN} (default: latest)"),
            switch("--markdown", "print Markdown, for the summary of a job"),
            JSON,
        ],
        epilog="Exit codes: 0 all claims supported, 1 a claim refuted, 4 no claim refuted but some undecided.",
    ),
    "trace": Command(
        "bench.cli.trace:trace",
        "show which thread each part of a request runs on, in a lab or in any project",
        [
            option("words", metavar="STACK WORKLOAD | PATH", nargs="*", help="such as async_asgi@uvicorn hello"),
            option("--app", metavar="MODULE:NAME", help="your own ASGI or WSGI application, unchanged"),
            option(
                "--python",
                metavar="PROGRAM",
                help="the Python to trace it in "
                "(default: the project's .venv or venv, else the active one, else the lab's)",
            ),
            MIDDLEWARE,
            TRACED_REQUEST,
            BLOCKING,
            TRACE_OUTPUT,
            JSON,
        ],
        epilog="Exit codes of --blocking: 0 nothing blocks but loading, 1 something does, 4 a request did not end.",
        usage="lab trace [options] (STACK WORKLOAD | --app MODULE:NAME PATH)",
    ),
    "try": Command(
        "bench.cli.try_project:try_project",
        "find out whether your own Django project should switch to ASGI or stay; it is not changed",
        [
            option(
                "project",
                metavar="PROJECT",
                help="a folder with manage.py, or in the current folder mysite.settings or mysite.asgi:application",
            ),
            option("pages", metavar="PATH", nargs="*", help="pages to ask for, such as /blog/ (default: /)"),
            option("--settings", metavar="MODULE", help="the settings (default: those of manage.py)"),
            option(
                "--python",
                metavar="PROGRAM",
                help="the Python that runs it "
                "(default: the project's .venv or venv, else the active one, else the lab's)",
            ),
            TRIED_LOAD,
            TRIED_REQUESTS,
            TRIED_HARM,
            switch("--markdown", "print Markdown, for a pull request"),
            JSON,
        ],
        epilog="Exit codes: 0 switch or stay, 3 the project cannot run here, 4 cannot tell.",
    ),
    "check": Command(
        "bench.cli.course:check",
        "check one exercise of labs/exercises, or all of them",
        [
            option("exercise", metavar="EXERCISE", nargs="?", help="such as blocking_view (default: all of them)"),
            switch("--solution", "check the file in labs/solutions instead"),
            JSON,
        ],
        epilog="Exit codes: 0 pass, 1 not yet, 3 this machine lacks what the check needs.",
    ),
    "claims": Command(
        "bench.cli.claims:claims",
        "show common claims about Django, WSGI and ASGI, and what was measured here",
        [
            option("id", metavar="ID", nargs="?", help="one claim, such as N5"),
            option(
                "--finding",
                metavar="FINDING",
                help="only claims whose stored finding is supported, it-depends, refuted or cannot-tell",
            ),
            option("--lesson", metavar="LESSON", help="only claims of a lesson, such as 05_orm or 05"),
            Group(
                "",
                [
                    switch("--check", "measure again everything that needs no load (two minutes)"),
                    switch("--write", "store the findings in results/reference/claims.json"),
                ],
            ),
            JSON,
        ],
        epilog="Exit codes of --check: 0 as stored, 1 a finding has changed, 3 something could not be measured here.",
    ),
    "conformance": Command(
        "bench.cli.conformance:conformance",
        "ask servers, by raw sockets, how they behave, and compare with the stored answers",
        [
            option("servers", metavar="SERVER", nargs="*", help="such as uvicorn (default: all of them)"),
            switch("--keep", "store the answers in results/reference/conformance.json"),
            JSON,
        ],
        epilog="Exit codes: 0 as kept, 1 an answer has changed, 3 a server could not be asked here.",
    ),
    "env": Command(
        "bench.cli.env:env",
        "make, list, show and remove environments: the interpreter and the packages in which a server runs",
        [
            option("action", choices=["add", "list", "show", "remove"], metavar="add | list | show | remove"),
            option("name", metavar="NAME", nargs="?", help="as in sync_wsgi@gthread:8%%NAME"),
            Group(
                "of add",
                [
                    option("--python", metavar="PROGRAM", help="such as python3.14t (default: the one that runs lab)"),
                    option("--django", metavar="VERSION | FOLDER", help="such as 6.1, or a checkout of Django"),
                    several(
                        "--with", words, "PACKAGE", "more packages, which are built where there is no wheel of them"
                    ),
                    option("--like", metavar="NAME", help="share interpreter and packages of that environment"),
                    several(
                        "--variable",
                        lambda text: [text],
                        "NAME=VALUE",
                        "set for its servers, and stored in every run, such as PYTHON_GIL=1",
                    ),
                ],
            ),
            JSON,
        ],
    ),
    "room": Command(
        "bench.cli.room:room",
        "open a page on which real servers answer, side by side, until Ctrl-C",
        [
            several("--stack", words, "STACK", "the lanes, one to four stacks (default: those of each scene)"),
            option("--port", type=PORT, default=8700, help="default: 8700"),
            option(
                "--bind",
                type=options.host,
                metavar="ADDRESS",
                default=HOST,
                help="address of this machine that the room's phones reach (default: loopback)",
            ),
            OWN_HOST,
            switch("--no-browser", "print the address and open no browser"),
            Group(
                "",
                [
                    option(
                        "--record",
                        type=Path,
                        metavar="FILE",
                        help="record the session; the report of a run shows a room.jsonl.gz in its folder",
                    ),
                    option(
                        "--replay",
                        type=Path,
                        metavar="FILE",
                        help="play a recording, or that of a scene, such as pool_and_crowd; no server is started",
                    ),
                ],
            ),
        ],
    ),
    "site": Command(
        "bench.cli.site:site",
        "write a static site of what is committed: claims, runs with their reports, lessons, the room's recordings",
        [
            option(
                "--out", type=Path, default=SITE, metavar="FOLDER", help="an empty folder (default: results/local/site)"
            ),
            option(
                "--repository",
                type=options.web_address,
                metavar="URL",
                help="the web address of the code, for links to it (default: no such links)",
            ),
        ],
    ),
    "doctor": Command("bench.cli.doctor:doctor", "check this machine and say what is missing", [JSON]),
    "notebooks": Command(
        "bench.cli.course:open_notebooks",
        "open your own copies of the lessons (results/local/notebooks) in JupyterLab, until Ctrl-C",
        [
            switch("--live", "let the live cells measure on this machine"),
            option("--port", type=PORT, default=8888, help="default: 8888"),
            switch("--no-browser", "print the address and open no browser"),
        ],
    ),
}


def build_parser() -> Parser:
    """Build the parser of `lab`; what it returns names the command in `command`."""
    parser = Parser(prog="lab", description="Django under WSGI and ASGI, measured.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        _add(
            command.options,
            commands.add_parser(
                name, help=command.help, description=command.help, epilog=command.epilog, usage=command.usage
            ),
        )
    return parser


def _add(described: Sequence[Option | Group], parser: Any) -> None:
    """Add options to a parser or to a group of one."""
    for each in described:
        if isinstance(each, Option):
            parser.add_argument(*each.names, **each.settings)
        else:
            _add(
                each.options,
                parser.add_argument_group(each.title) if each.title else parser.add_mutually_exclusive_group(),
            )
