"""One trial: a fresh server, the probe, warm-up, the window, and a verdict from what was seen.

The phases are here. `monitor.py` looks at the window, `trial_metrics.py` makes numbers of what it saw, and `gates.py`
judges.
"""

from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

from bench.analyse.gates import TrialInvalid, judge
from bench.base.errors import NotRun, SecondInterrupt
from bench.base.files import write_atomically
from bench.measure import connection_trial, cpu_placement, monitor, preflight, readiness
from bench.measure.contract import CONNECT_WITHIN_S, PROBED_WITHIN_S, ContractBroken, check_contract, require_reachable
from bench.measure.database.database import ASKED_WITHIN_S, OF_OURS_WITHIN_S
from bench.measure.database.payment_audit import PaymentAudit
from bench.measure.load.launcher import LoadSpec, RunningLoad, running_load
from bench.measure.load.recording import Recording
from bench.measure.monitor import Evidence, WindowRunner
from bench.measure.ports import free_port
from bench.measure.processes import work_folder
from bench.measure.readiness import RunningServer, serving_stack
from bench.measure.services import Services, serving_services
from bench.measure.trial_metrics import metrics_of
from bench.model import trial_plan
from bench.model.commands import normalise
from bench.model.trial_plan import TrialPlan, planned_trial
from bench.model.trial_record import Reason, Trial

HAND_IN_WITHIN_S = 1.0  # after Ctrl-C: what the load has recorded so far
STOPS_WITHIN_S = 10.0  # everything that was started, also when it hangs
INTERRUPTED = Reason("interrupted", "Interrupted; no number is claimed.")


def deadline_s(plan: TrialPlan) -> float:
    """The longest that the trial takes, whatever hangs: the sum of what each phase is given."""
    probes = 1 if plan.connections is None else connection_trial.WARM_UPS
    probed_s = CONNECT_WITHIN_S + probes * (PROBED_WITHIN_S + plan.request.io_wait_s(plan.stack))
    return _served_within_s(plan) + probed_s + _driven_within_s(plan) + STOPS_WITHIN_S * (1 + plan.engine.processes)


def _served_within_s(plan: TrialPlan) -> float:
    """Until the server and what it needs are there, and the database's books after them."""
    workload = plan.request.workload
    if plan.target:
        return 0.0
    one_s = readiness.READY_WITHIN_S + readiness.ANSWER_WITHIN_S + STOPS_WITHIN_S
    database_s = OF_OURS_WITHIN_S + 3 * ASKED_WITHIN_S + STOPS_WITHIN_S  # restored, opened, closed
    return one_s * (1 + workload.needs_upstream) + database_s * workload.needs_database


def _driven_within_s(plan: TrialPlan) -> float:
    """Of the load, or of the driver that holds connections."""
    if plan.connections is not None:
        return connection_trial.DRIVEN_WITHIN_S + connection_trial.LOOKED_AFTER_S[trial_plan.kind_of(plan)]
    outage_s = OF_OURS_WITHIN_S if plan.outage else 0.0
    return monitor.LOAD_WITHIN_S + plan.full_warmup_s + plan.duration_s + outage_s + monitor.RECORDED_WITHIN_S


def run_trial(plan: TrialPlan, keep: Path | None = None) -> Trial:
    """Measure once. Every end is a Trial with a verdict; nothing keeps running.

    `keep`: where an open loop's single requests are to be kept. Interrupted, the trial is `aborted` with what was
    counted so far; a second interruption goes through as SecondInterrupt.
    """
    trial = planned_trial(plan)
    try:
        return (
            _measured(trial, plan, keep)
            if plan.connections is None
            else connection_trial.run_connection_trial(trial, plan)
        )
    except NotRun as error:
        return replace(trial, verdict="not-run", reasons=[Reason("not-run", str(error))])
    except ContractBroken as error:
        return replace(trial, verdict="invalid", reasons=[Reason("contract", str(error))])
    except TrialInvalid as error:
        return replace(trial, verdict="invalid", reasons=[error.reason])
    except SecondInterrupt:
        raise
    except KeyboardInterrupt:
        return _aborted(trial, None)


def _measured(trial: Trial, plan: TrialPlan, keep: Path | None) -> Trial:
    _require_what_it_needs(plan)
    where = cpu_placement.plan(plan.stack.budget.processes, plan.engine.processes)
    with nullcontext(Services()) if plan.target else _needs_of(plan, where) as needs:
        books = PaymentAudit(needs.database) if needs.database else None
        trial, seen = _watched(trial, plan, where, needs, keep)
        if books and seen:  # when the server has been killed, with whatever it was doing
            trial = replace(trial, database=books.closed(seen.open_max, None, seen.log))
    return _judged(trial, plan, where, seen) if seen else trial


def _needs_of(plan: TrialPlan, where: cpu_placement.CpuPlan) -> AbstractContextManager[Services]:
    return serving_services(plan.request, cpus=where.load, max_connections=plan.max_connections)


def _watched(
    trial: Trial, plan: TrialPlan, where: cpu_placement.CpuPlan, needs: Services, keep: Path | None
) -> tuple[Trial, Evidence | None]:
    """The trial with its commands and what was seen; aborted, and nothing to judge, where it was interrupted."""
    with ExitStack() as running:
        folder = running.enter_context(work_folder("load"))
        port = free_port(plan.engine.bind)
        # Locust takes as long to load as the server to boot, so both start together.
        ask = ask_of(plan, plan.target or f"http://{plan.engine.bind}:{port}")
        load = running.enter_context(
            running_load(ask, folder, engine=plan.engine, cpus=where.load, allowed=plan.drives_others)
        )
        server = None if plan.target else running.enter_context(_serving(plan, port, where, needs))
        check_contract(ask.url, plan.request, plan.stack)
        load.go()
        try:
            evidence = WindowRunner(server, load, needs, plan.freeze, plan.outage).through_the_window()
        except KeyboardInterrupt:
            return _aborted(trial, load.hand_in(HAND_IN_WITHIN_S)), None
        load.stop()
        _keep_requests(load, keep)
        return replace(trial, commands=_commands(server, load, needs), warmup_s=plan.full_warmup_s), evidence


def _require_what_it_needs(plan: TrialPlan) -> None:
    """Raise NotRun where it cannot begin."""
    if plan.target and plan.outage:
        raise NotRun(f"The database of the server at {plan.target} is not ours to stop: leave out --target.")
    if plan.target and plan.freeze:
        raise NotRun(f"The server at {plan.target} is not ours to freeze: leave out --target.")
    if plan.target:
        require_reachable(plan.target, plan.stack)
    else:
        plan.stack.require_installed()
    if plan.users is None:
        preflight.require_room_for_rate(plan.rate_per_s or 0.0, plan.request.io_wait_s(plan.stack))
    else:
        preflight.require_room(plan.users)


def _serving(
    plan: TrialPlan, port: int, where: cpu_placement.CpuPlan, needs: Services
) -> AbstractContextManager[RunningServer]:
    return serving_stack(
        plan.stack,
        middleware=plan.middleware,
        services=needs.environment,
        cpus=where.server,
        port=port,
        host=plan.engine.bind,
        grace_s=0,
    )


def ask_of(plan: TrialPlan, url: str) -> LoadSpec:
    """What the load is to do."""
    return LoadSpec(
        url=url,
        path=plan.request.path,
        body=plan.request.body,
        users=plan.users,
        warmup_s=plan.full_warmup_s,
        duration_s=plan.duration_s,
        spread_s=plan.arrive_within_s,
        rate_per_s=plan.rate_per_s,
        schedule=plan.schedule,
        seed=plan.seed + plan.repeat,
        max_in_flight=preflight.most_in_flight(),
    )


def _keep_requests(load: RunningLoad, keep: Path | None) -> None:
    if keep and load.requests_file.exists():
        keep.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(keep, load.requests_file.read_bytes())


def _commands(server: RunningServer | None, load: RunningLoad, needs: Services) -> dict[str, list[str]]:
    """The commands as they are kept."""
    running = {"load": load, "server": server, "upstream": needs.upstream}
    return normalise({part: it.command for part, it in running.items() if it}, str(load.folder))


def _aborted(trial: Trial, seen: Recording | None) -> Trial:
    """The interrupted trial with its counts, which are of a window cut short."""
    aborted = replace(trial, verdict="aborted", reasons=[INTERRUPTED])
    if seen is None:
        return aborted
    return replace(
        aborted,
        issued=seen.issued,
        carried_in=seen.carried_in,
        completed=seen.completed,
        failed=seen.failed,
        errors=seen.errors,
        timed_out=seen.timed_out,
        dropped=seen.dropped,
        in_flight=seen.in_flight,
        answered=seen.answered,
        answered_every_s=seen.answered_every_s,
        duration_s=seen.duration_s,
    )


def _judged(trial: Trial, plan: TrialPlan, where: cpu_placement.CpuPlan, seen: Evidence) -> Trial:
    """Numbers out of the evidence, then the verdict; where that is `invalid` the numbers go again."""
    cores = cpu_placement.cores_of(where.server, plan.stack.budget.processes)
    measured = _with_recovery(metrics_of(trial, seen, where, cores=cores, engine=plan.engine))
    verdict, reasons = judge(
        measured, lost=seen.recording.lost, mean_latency_s=seen.mean_latency_s, shortest_s=seen.shortest_s
    )
    if verdict == "invalid":
        return replace(_without_numbers(measured), verdict=verdict, reasons=reasons)
    if any(reason.code == "errors" for reason in reasons):
        measured = replace(_without_latencies(measured), histogram=None, histogram_from_send=None)
    return replace(measured, verdict=verdict, reasons=reasons)


def _with_recovery(trial: Trial) -> Trial:
    """How long it took from the database's return until right answers came, beside what else is known of it."""
    again_us = [round(1e6 * event.for_s) for event in trial.events if event.code == "recovered"]
    if trial.database is None or not again_us:
        return trial
    return replace(trial, database=replace(trial.database, recovered_us=again_us[0]))


def _without_latencies(trial: Trial) -> Trial:
    return replace(trial, latency_us=None, latency_from_send_us=None, latency_at_least=[])


def _without_numbers(trial: Trial) -> Trial:
    return replace(
        _without_latencies(trial),
        throughput_per_s=None,
        halves_per_s=None,
        histogram=None,
        histogram_from_send=None,
        limit_per_s=None,
        fraction_of_limit=None,
        limiter=None,
        utilisation={},
        cpu_us_per_request=None,
    )
