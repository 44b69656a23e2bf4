"""Validate the options of `lab run` and build its Overrides. Each check raises UsageError."""

import argparse
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from bench.analyse.findings import findings_of
from bench.base.errors import UsageError, nearest
from bench.base.options import HostPort
from bench.measure.cpu_placement import available
from bench.measure.ports import own_address
from bench.model.environments import DEFAULT, load_environment
from bench.model.run_record import Assertion
from bench.model.run_store import find_run, load_run
from bench.model.servers import HOST, LOOPBACK
from bench.model.stacks import parse_stack
from bench.model.trial_matrix import Overrides
from bench.model.trial_plan import MASTER_PORT, Engine
from bench.model.workloads import parse_request
from labs.common.middleware import NAMES


def overrides_of(arguments: argparse.Namespace) -> Overrides:
    """Validate the options and build Overrides. UsageError for unknown names and for hosts that are not claimed."""
    return Overrides(
        stacks=tuple(parse_stack(text).name for text in arguments.stack),
        requests=tuple(parse_request(text).name for text in arguments.workload),
        users=tuple(arguments.users),
        connections=tuple(arguments.connections),
        middleware=None if arguments.middleware is None else tuple(check_middleware(arguments.middleware)),
        repeats=arguments.repeats,
        duration_s=arguments.duration,
        rates_per_s=tuple(arguments.rates),
        schedule=arguments.schedule,
        engine=_engine_of(arguments),
        target=_target_of(arguments),
        environments=_environments_of(arguments),
        server_cores=_server_cores_of(arguments),
        about=_undecided_of(arguments),
        **({} if arguments.seed is None else {"seed": arguments.seed}),
    )


def _undecided_of(arguments: argparse.Namespace) -> tuple[Assertion, ...]:
    """Return the claims that a run could not decide. UsageError if it is of another experiment or decided all."""
    if arguments.undecided is None:
        return ()
    run = load_run(find_run(arguments.undecided))
    if run.experiment != arguments.experiment:
        raise UsageError(f"That is a run of {run.experiment}, not of {arguments.experiment}: --undecided needs one.")
    found = tuple(finding.claim for finding in findings_of(run) if finding.value == "cannot tell")
    if not found:
        raise UsageError(f"That run of {run.experiment} decides every claim: nothing is left to measure.")
    return found


def _engine_of(arguments: argparse.Namespace) -> Engine:
    """Which processes generate the load, and where they meet."""
    expected, bind = arguments.expect_workers or 0, arguments.bind or HostPort(HOST, None)
    check_owned(bind.host, arguments)
    if arguments.bind and not expected:
        raise UsageError("--bind is for workers on other machines: say how many with --expect-workers.")
    if arguments.rates and (expected or (arguments.load_processes or 1) > 1):
        raise UsageError("An open loop uses one process: leave out --load-processes and --expect-workers.")
    if arguments.engine == "wrk" and expected:
        raise UsageError("wrk runs on this machine alone: leave out --expect-workers, or --engine wrk.")
    processes = arguments.load_processes or (0 if expected else 1)
    return Engine(processes, expected, own_address(bind.host), bind.port or MASTER_PORT, arguments.engine)


def _environments_of(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The environments to cross the stacks with. Raises NotRun for one that is not there."""
    stacks = [parse_stack(text) for text in arguments.stack]
    for name in (*arguments.environment, *(stack.environment for stack in stacks)):
        if name != DEFAULT:
            load_environment(name)
    if arguments.environment and arguments.target:
        raise UsageError("The server at --target has an environment already: leave out --environment.")
    return tuple(dict.fromkeys(arguments.environment))


def _server_cores_of(arguments: argparse.Namespace) -> int | None:
    """How many cores the server gets; None is one for each process."""
    cores = arguments.server_cores
    if cores and arguments.target:
        raise UsageError("The server at --target runs on cores of its own: leave out --server-cores.")
    if cores and cores > len(available()):
        raise UsageError(f"--server-cores {cores} is more than the {len(available())} usable here: give fewer.")
    return int(cores) if cores else None


def _target_of(arguments: argparse.Namespace) -> str | None:
    """The address of a server that already runs elsewhere."""
    if arguments.target is None:
        return None
    host = str(urlsplit(arguments.target).hostname)
    check_owned(host, arguments)
    if arguments.bind and arguments.bind.host not in LOOPBACK and host in LOOPBACK:
        raise UsageError(f"{host} is another machine for every worker: give --target an address that they reach.")
    if len(arguments.stack) != 1:
        raise UsageError("--target needs one --stack: the name of what is served there.")
    return str(arguments.target)


def check_owned(host: str, arguments: argparse.Namespace) -> None:
    """UsageError if the host is not loopback and the user has not said that it is theirs."""
    if host not in LOOPBACK and not arguments.i_own_this_host:
        raise UsageError(f"{host} is not loopback: add --i-own-this-host if it is yours to load.")


def check_middleware(names: Sequence[str]) -> Sequence[str]:
    """Return the names; UsageError if the labs do not know one of them."""
    for name in names:
        if name not in NAMES:
            raise UsageError(f"Unknown middleware {name!r}: {nearest(name, NAMES)}")
    return names


def check_cpus(cpus: Iterable[int]) -> None:
    """UsageError if this process may not use one of the cores."""
    for cpu in cpus:
        if available() and cpu not in available():
            raise UsageError(f"Core {cpu} is not usable here: choose from {', '.join(map(str, available()))}.")
