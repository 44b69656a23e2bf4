"""The life of one trial: services, load, server, contract, the go, what was seen, numbers and verdict.

What depends on the load is in `window_trial.py` (users and rates, in a window) and `connection_trial.py` (connections,
in phases).
"""

from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.analyse.gates import TrialInvalid
from bench.base.errors import NotRun, SecondInterrupt
from bench.measure import cpu_placement
from bench.measure.connection_trial import ConnectionTrial
from bench.measure.contract import CONNECT_WITHIN_S, ContractBroken, ask_environment, require_reachable
from bench.measure.cpu_placement import CpuPlan
from bench.measure.database.database import ASKED_WITHIN_S, OF_OURS_WITHIN_S
from bench.measure.database.payment_audit import PaymentAudit
from bench.measure.fronting import words_of
from bench.measure.load.recording import Recording
from bench.measure.ports import free_port
from bench.measure.processes import work_folder
from bench.measure.readiness import ANSWER_WITHIN_S, READY_WITHIN_S, RunningServer, serving_stack
from bench.measure.services import Services, serving_services
from bench.measure.strategy import Driver, Evidence, Strategy, TrialInterrupted
from bench.measure.window_trial import WindowTrial
from bench.model.commands import normalise
from bench.model.load import ConnectionLoad, Waves
from bench.model.trial_plan import TrialPlan, planned_trial
from bench.model.trial_record import Reason, Trial

STOPS_WITHIN_S = 10.0  # everything that was started, also when it hangs
INTERRUPTED = Reason("interrupted", "Interrupted; no number is claimed.")


def run_trial(plan: TrialPlan, requests_path: Path | None = None, strategy: Strategy[Any, Any] | None = None) -> Trial:
    """Measure once. Every end is a Trial with a verdict; nothing keeps running.

    `requests_path`: where the single requests of an open loop are kept. `strategy`: how the load is driven, where that
    of the plan's load does not do. Interrupted, the trial is `aborted` with what was counted so far; a second
    interruption goes through as SecondInterrupt.
    """
    trial = planned_trial(plan)
    try:
        return _measure(trial, plan, strategy or strategy_for(plan, requests_path))
    except NotRun as error:
        return replace(trial, verdict="not-run", reasons=[Reason("not-run", str(error))])
    except ContractBroken as error:
        return replace(trial, verdict="invalid", reasons=[Reason("contract", str(error))])
    except TrialInvalid as error:
        return replace(trial, verdict="invalid", reasons=[error.reason])
    except TrialInterrupted as interruption:
        return _aborted(trial, interruption.recording)
    except SecondInterrupt:
        raise
    except KeyboardInterrupt:
        return _aborted(trial, None)


def strategy_for(plan: TrialPlan, requests_path: Path | None = None) -> Strategy[Any, Any]:
    """The one that fits the plan's load."""
    return ConnectionTrial(plan) if isinstance(plan.load, ConnectionLoad) else WindowTrial(plan, requests_path)


def deadline_s(plan: TrialPlan) -> float:
    """The longest that the trial takes, whatever hangs, in seconds: the sum of what each phase is given."""
    stops_s = STOPS_WITHIN_S * (1 + plan.engine.processes)
    return _served_within_s(plan) + 2 * CONNECT_WITHIN_S + strategy_for(plan).longest_s + stops_s


def _served_within_s(plan: TrialPlan) -> float:
    """Until the server and its services are there, and the audit of the database after them."""
    workload = plan.request.workload
    if plan.target:
        return 0.0
    one_s = READY_WITHIN_S + ANSWER_WITHIN_S + STOPS_WITHIN_S
    database_s = OF_OURS_WITHIN_S + 3 * ASKED_WITHIN_S + STOPS_WITHIN_S  # restored, opened, closed
    return one_s * (1 + workload.needs_upstream + bool(plan.stack.front)) + database_s * workload.needs_database


def _measure(trial: Trial, plan: TrialPlan, strategy: Strategy[Any, Any]) -> Trial:
    _require_server(plan)
    strategy.require_room()
    cpu_placement.require_cores(plan.server_cores)
    where = cpu_placement.plan(plan.stack.budget.processes, plan.engine.processes, plan.server_cores)
    with _services(plan, where) as services:
        audit = PaymentAudit(services.database) if services.database else None
        trial, seen = _serve_and_watch(trial, plan, strategy, where, services)
        if audit:  # when the server has been killed, with whatever it was doing
            trial = replace(trial, database=audit.close(seen.open_max, strategy.payments(seen), seen.log))
    return strategy.judge(trial, seen, where)


def _require_server(plan: TrialPlan) -> None:
    """Raise NotRun where the server cannot be started or reached, or is not ours to disturb."""
    if plan.target and plan.outage:
        raise NotRun(f"The database of the server at {plan.target} is not ours to stop: leave out --target.")
    if plan.target and plan.freeze:
        raise NotRun(f"The server at {plan.target} is not ours to freeze: leave out --target.")
    if plan.target:
        require_reachable(plan.target, plan.stack)
    else:
        plan.stack.require_installed(*plan.request.packages_in(plan.stack))


def _services(plan: TrialPlan, where: CpuPlan) -> AbstractContextManager[Services]:
    if plan.target:
        return nullcontext(Services())
    max_connections = plan.load.max_connections if isinstance(plan.load, Waves) else None
    return serving_services(plan.request, plan.stack, cpus=where.load, max_connections=max_connections)


def _serve_and_watch(
    trial: Trial, plan: TrialPlan, strategy: Strategy[Any, Any], where: CpuPlan, services: Services
) -> tuple[Trial, Evidence]:
    """The trial with its commands, and what was seen; server and load have ended then."""
    with ExitStack() as running:
        folder = running.enter_context(work_folder("load"))
        port = free_port(plan.engine.bind)
        url = plan.target or f"http://{plan.engine.bind}:{port}"
        # Locust takes as long to load as the server to boot, so both start together.
        driver = running.enter_context(strategy.starting(url, folder, where, services))
        server = None if plan.target else running.enter_context(_serving(plan, port, where, services))
        strategy.check(url)
        trial = replace(trial, environment=ask_environment(url, plan.stack))
        seen: Evidence = strategy.watch(server, driver, services)
        return replace(trial, commands=_commands(driver, server, services, str(folder), plan)), seen


def _commands(
    driver: Driver, server: RunningServer | None, services: Services, folder: str, plan: TrialPlan
) -> dict[str, list[str]]:
    """The words of all that was started, without ports and folders that mean nothing."""
    parts = {"load": driver, "server": server, "upstream": services.upstream}
    words = {part: it.command for part, it in parts.items() if it}
    if server and plan.stack.front:
        return normalise(words, folder, server.port) | words_of(plan.stack.front)
    return normalise(words, folder)


def _serving(plan: TrialPlan, port: int, where: CpuPlan, services: Services) -> AbstractContextManager[RunningServer]:
    return serving_stack(
        plan.stack,
        middleware=plan.middleware,
        services=services.environment,
        cpus=where.server,
        port=port,
        host=plan.engine.bind,
        grace_s=0,
    )


def _aborted(trial: Trial, recording: Recording | None) -> Trial:
    """The interrupted trial with its counts, which are of a window cut short."""
    counts = recording.counts if recording else {}
    return replace(trial, verdict="aborted", reasons=[INTERRUPTED], **counts)
