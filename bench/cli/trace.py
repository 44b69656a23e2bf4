"""`lab trace`: what is to be asked, and the ways to show what was seen."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from bench.base.console import announce, console, print_json, relative_to_here
from bench.base.errors import ExitCode, LabError, UsageError
from bench.base.files import require_replaceable
from bench.model.stacks import Stack, parse_stack
from bench.model.workloads import Request, parse_request
from bench.trace.inside.model import Trace
from bench.trace.inside.request_spec import RequestSpec
from bench.trace.interpreter import choose
from bench.trace.tracer import NeverEnded, trace_application, trace_stack


def trace(arguments: argparse.Namespace) -> int:
    """Ask once and show it, or serve. 1 where the request raised, though its trace is shown."""
    if arguments.serve:
        from bench.cli.trace_serve import serve

        return serve(arguments)
    seen = asked(arguments)
    if arguments.json:
        print_json(seen.to_json())
    else:
        from bench.show.trace_terminal import show

        show(seen, console())
    for path in _drawn(seen, arguments):
        console(stderr=True).print(f"written: {relative_to_here(path)}", soft_wrap=True, highlight=False, markup=False)
    if not seen.ended and arguments.leave_after is None:
        raise NeverEnded(
            f"{seen.method} {seen.path} did not end within {arguments.time_limit:g} s: the trace shows how far it "
            f"came. Give it longer with --time-limit, or let the client go with --leave-after."
        )
    if seen.error:
        raise LabError(f"{seen.method} {seen.path} raised {seen.error}: the trace shows how far it came.")
    return ExitCode.FINE


def _drawn(seen: Trace, arguments: argparse.Namespace) -> list[Path]:
    """The files that were asked for."""
    if arguments.perfetto:
        from bench.trace.perfetto import to_chrome

        _write(arguments.perfetto, json.dumps(to_chrome(seen)).encode())
    if arguments.svg:
        from bench.show.trace_svg import picture

        _write(arguments.svg, picture(seen).svg().encode())
    return [path for path in (arguments.perfetto, arguments.svg) if path]


def _write(path: Path, content: bytes) -> None:
    require_replaceable(path, content)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}): name another file.") from None


def asked(arguments: argparse.Namespace) -> Trace:
    """The trace of what the command line names."""
    if arguments.app:
        ask = RequestSpec(arguments.app, path_of(arguments), **asked_how(arguments))
        interpreter = choose(arguments.python, Path.cwd())
        announce(f"{arguments.app} in {interpreter.program} ({interpreter.whose})")
        return trace_application(ask, os.environ, Path.cwd(), arguments.time_limit, interpreter)
    if arguments.python:
        raise UsageError("--python is for an application of yours, named with --app: a stack runs in the lab's own.")
    stack, request = stack_and_request(arguments)
    return trace_stack(stack, request, arguments.middleware or (), arguments.time_limit, **asked_how(arguments))


def path_of(arguments: argparse.Namespace) -> str:
    """`--app mysite.asgi:application PATH`; UsageError for words that do not fit."""
    if len(arguments.words) > 1:
        raise UsageError("With --app there is one more word, the path: lab trace --app mysite.asgi:application /.")
    if arguments.middleware is not None:
        raise UsageError("--middleware is for the lab's own stacks: an application of yours has its own settings.")
    path: str = arguments.words[0] if arguments.words else "/"
    return path if path.startswith("/") else f"/{path}"


def stack_and_request(arguments: argparse.Namespace) -> tuple[Stack, Request]:
    """`STACK WORKLOAD`; UsageError for words that do not fit."""
    if len(arguments.words) != 2:
        raise UsageError("Say what to trace: `lab trace STACK WORKLOAD`, or `lab trace --app MODULE:NAME PATH`.")
    stack, request = parse_stack(arguments.words[0]), parse_request(arguments.words[1])
    if not request.is_answered_by(stack):
        answers = "it answers hello and wait" if stack.lab.has_workloads else "it has pages and no workloads"
        raise UsageError(f"{stack.lab.name} does not answer {request.workload.name}: {answers}.")
    if arguments.middleware:
        from bench.cli.overrides import check_middleware

        check_middleware(arguments.middleware)
    return stack, request


def asked_how(arguments: argparse.Namespace) -> dict[str, Any]:
    """The rest of the request, as fields of Ask."""
    return {
        "method": arguments.method.upper(),
        "headers": arguments.header,
        "body": arguments.data,
        "leave_after_s": arguments.leave_after,
        "warm_up": not arguments.no_warm_up,
    }
