"""`lab trace`: which request to trace, and the ways to show its trace."""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bench.base.console import announce, console, print_json, relative_to_here
from bench.base.errors import ExitCode, LabError, UsageError
from bench.base.files import require_replaceable
from bench.cli.trace_blocking import conclude
from bench.model.stacks import Stack, parse_stack_alone
from bench.model.workloads import Request, parse_request
from bench.trace.inside.model import Trace
from bench.trace.inside.request_spec import RequestSpec
from bench.trace.interpreter import choose_interpreter
from bench.trace.tracer import NeverEnded, find_blocking, find_blocking_of_stack, trace_application, trace_stack

Found = TypeVar("Found")


def trace(arguments: argparse.Namespace) -> int:
    """Trace one request and show it, serve, or look for what blocks.

    Raises LabError where the request raised, after its trace is shown.
    """
    if arguments.blocking and (arguments.perfetto or arguments.svg):
        raise UsageError("--perfetto and --svg draw hops, and --blocking traces none: leave out one or the other.")
    if arguments.serve:
        from bench.cli.trace_serve import serve

        return serve(arguments)
    if arguments.blocking:
        more = {"blocking_ms": arguments.blocking_over}
        return conclude(ask_as_named(arguments, find_blocking, find_blocking_of_stack, **more), arguments)
    found = trace_request(arguments)
    if arguments.json:
        print_json(found.to_json())
    else:
        from bench.show.trace_terminal import show

        show(found, console())
    _write_files(found, arguments)
    if not found.ended and arguments.leave_after is None:
        raise NeverEnded(
            f"{found.method} {found.path} did not end within {arguments.time_limit:g} s: the trace shows how far it "
            f"came. Give it longer with --time-limit, or let the client go with --leave-after."
        )
    if found.error:
        raise LabError(f"{found.method} {found.path} raised {found.error}: the trace shows how far it came.")
    return ExitCode.FINE


def _write_files(found: Trace, arguments: argparse.Namespace) -> None:
    """Write the files that the options name."""
    if arguments.perfetto:
        from bench.trace.perfetto import to_chrome

        _write(arguments.perfetto, json.dumps(to_chrome(found)))
    if arguments.svg:
        from bench.show.trace_svg import picture

        _write(arguments.svg, picture(found).svg())


def _write(path: Path, text: str) -> None:
    require_replaceable(path, text.encode())
    try:
        path.write_bytes(text.encode())
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}): name another file.") from None
    console(stderr=True).print(f"written: {relative_to_here(path)}", soft_wrap=True, highlight=False, markup=False)


def trace_request(arguments: argparse.Namespace) -> Trace:
    """Trace the request that the command line names. Raises UsageError for words that do not fit."""
    return ask_as_named(arguments, trace_application, trace_stack)


def ask_as_named(
    arguments: argparse.Namespace, of_application: Callable[..., Found], of_stack: Callable[..., Found], **more: Any
) -> Found:
    """Ask the application or the stack that the command line names. Raises UsageError for words that do not fit.

    `more` are further fields of RequestSpec.
    """
    request_options: dict[str, Any] = {
        "method": arguments.method.upper(),
        "headers": arguments.header,
        "body": arguments.data,
        "leave_after_s": arguments.leave_after,
        "warm_up": not arguments.no_warm_up,
        **more,
    }
    if arguments.app:
        spec = RequestSpec(arguments.app, parse_path(arguments), **request_options)
        interpreter = choose_interpreter(arguments.python, Path.cwd())
        announce(f"{arguments.app} in {interpreter.program} ({interpreter.whose})")
        return of_application(spec, os.environ, Path.cwd(), arguments.time_limit, interpreter)
    if arguments.python:
        raise UsageError(
            "--python is for an application of yours, named with --app: a stack names its environment, as in "
            "async_asgi@uvicorn%py313t."
        )
    stack, request = parse_stack_and_request(arguments)
    return of_stack(stack, request, arguments.middleware or (), arguments.time_limit, **request_options)


def parse_path(arguments: argparse.Namespace) -> str:
    """`--app mysite.asgi:application PATH`. Raises UsageError for words that do not fit."""
    if len(arguments.words) > 1:
        raise UsageError("With --app there is one more word, the path: lab trace --app mysite.asgi:application /.")
    if arguments.middleware is not None:
        raise UsageError("--middleware is for the lab's own stacks: an application of yours has its own settings.")
    path = "".join(arguments.words)
    return path if path.startswith("/") else f"/{path}"


def _own_command(words: Sequence[str]) -> str:
    """The command for a project of the user's: with the application beside manage.py here, if there is one."""
    path = next((word for word in words if word.startswith("/")), "/")
    found = [file for name in ("asgi", "wsgi") for file in sorted(Path.cwd().glob(f"*/{name}.py"))]
    if found and Path("manage.py").exists():
        return f"for the project here `lab trace --app {found[0].parent.name}.{found[0].stem}:application {path}`"
    return f"for a project of yours, in its folder, `lab trace --app mysite.asgi:application {path}`"


def parse_stack_and_request(arguments: argparse.Namespace) -> tuple[Stack, Request]:
    """`STACK WORKLOAD`. Raises UsageError for words that do not fit."""
    if len(arguments.words) != 2:
        raise UsageError(f"Say what to trace: `lab trace STACK WORKLOAD`, or {_own_command(arguments.words)}.")
    stack, request = parse_stack_alone(arguments.words[0]), parse_request(arguments.words[1])
    if not request.is_answered_by(stack):
        answers = "it answers hello and wait" if stack.lab.has_workloads else "it has pages and no workloads"
        raise UsageError(f"{stack.lab.name} does not answer {request.workload.name}: {answers}.")
    if arguments.middleware:
        from bench.cli.overrides import check_middleware

        check_middleware(arguments.middleware)
    return stack, request
