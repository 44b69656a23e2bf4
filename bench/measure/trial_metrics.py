"""From what was seen in a window to the numbers of its trial. Pure functions, which judge nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.analyse import queueing
from bench.analyse.utilisation import UNBOUNDED, observed_bottleneck, utilisation_of, waiting_s
from bench.measure import process_usage
from bench.measure.cpu_placement import CpuPlan
from bench.measure.load.recording import Recording
from bench.measure.monitor import WindowEvidence
from bench.measure.stalls import gap_events
from bench.model import histograms
from bench.model.histograms import encode_histogram, latency_of
from bench.model.stacks import split_name
from bench.model.trial_plan import Engine
from bench.model.trial_record import Event, LoadUse, MachineUse, Samples, ServerUse, Trial

MAX_LATE_SHARE = 0.02
"""Of the window: a last reading that comes later than so long after it is left out."""
PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9, "max": 100.0}


def metrics_of(trial: Trial, seen: WindowEvidence, where: CpuPlan, cores: int, engine: Engine | None = None) -> Trial:
    """Return the trial with everything measured; `cores` is how many the server could keep busy.

    Where no process of ours served (its memory is 0), the server's numbers are None.
    """
    counted = _counts(trial, seen.recording)
    is_sampled = seen.server[-1].rss_bytes > 0
    used = replace(
        counted,
        server=_server_use(seen, where, min(cores, split_name(trial.stack).processes)) if is_sampled else None,
        front=process_usage.front_use(
            seen.front, seen.front_connections, where.server, seen.recording.answered_in_window
        ),
        load=_load_use(seen.recording, where, engine or Engine()),
        machine=_machine_use(seen),
        samples=process_usage.samples_of(in_window(seen), seen.start_s) if is_sampled else Samples(),
        window_at_s=seen.start_s,
    )
    timed = _latencies(used, seen.recording)
    events = sorted([*seen.events, *gap_events(timed, seen), *recoveries(timed, seen)], key=lambda event: event.at_s)
    return _against_limit(replace(timed, events=events), cores)


def recoveries(trial: Trial, seen: WindowEvidence) -> list[Event]:
    """When right answers came again after the database was back, to the width of a column of answers."""
    return [_recovery(trial, event.at_s + event.for_s) for event in seen.events if event.code == "database-away"]


def _recovery(trial: Trial, back_s: float) -> Event:
    every_s = trial.answered_every_s
    again = [column * every_s for column, count in enumerate(trial.answered) if count and column * every_s >= back_s]
    if not again:
        return Event("not-recovered", back_s, 0.0, "No right answer came after the database was back.")
    for_s = again[0] + every_s - back_s
    return Event("recovered", back_s, for_s, f"Right answers came again within {for_s:.1f} s of the database's return.")


def _counts(trial: Trial, seen: Recording) -> Trial:
    return replace(
        trial,
        **seen.counts,
        in_flight_oldest_us=seen.in_flight_oldest_us,
        in_flight_mean=seen.waited_s / seen.duration_s,
        throughput_per_s=seen.answered_in_window / seen.duration_s,
        halves_per_s=[count / (seen.duration_s / 2) for count in seen.answered_halves],
    )


def _server_use(seen: WindowEvidence, where: CpuPlan, processes: int) -> ServerUse:
    readings = in_window(seen)
    first, last = readings[0], readings[-1]
    seen_share = min(1.0, (last.at_s - first.at_s) / seen.recording.duration_s)
    return ServerUse(
        threads_max=max(reading.threads for reading in readings),
        rss_bytes_max=max(reading.rss_bytes for reading in readings),
        connections_max=seen.connections,
        cpu_share=process_usage.cpu_share(first, last),
        cpu_s=(last.cpu_s - first.cpu_s) / seen_share,
        processes=processes,
        cpus=where.server,
    )


def in_window(seen: WindowEvidence) -> list[process_usage.Reading]:
    """The server's readings without those that came too late, when the load had ended.

    All of them where fewer than two are left.
    """
    until_s = seen.start_s + (1 + MAX_LATE_SHARE) * seen.recording.duration_s
    inside = [reading for reading in seen.server if reading.at_s <= until_s]
    return inside if len(inside) > 1 else seen.server


def _load_use(recorded: Recording, where: CpuPlan, engine: Engine) -> LoadUse:
    """Several processes on too few cores are as busy as these cores; the cores of other machines are not known."""
    cpus = where.load if engine.processes else []
    crowded_s = 0.0 if engine.expect_workers or not cpus else sum(recorded.cpu_s) / len(cpus)
    return LoadUse(
        cpu_share=sum(recorded.cpu_s) / recorded.duration_s,
        processes=len(recorded.cpu_s),
        cpus=cpus,
        busiest_share=max([*recorded.cpu_s, crowded_s]) / recorded.duration_s,
        engine=recorded.engine,
    )


def _machine_use(seen: WindowEvidence) -> MachineUse | None:
    """None where the load had ended before the last reading: its CPU time would count as another program's."""
    if not seen.all_there:
        return None
    upstream, database = (
        round(process_usage.cpu_share(each[0], each[-1]), 3) for each in (seen.upstream, seen.database)
    )
    return replace(machine_use(seen.ours[0], seen.ours[-1]), upstream_cores=upstream, database_cores=database)


def machine_use(first: process_usage.Reading, last: process_usage.Reading) -> MachineUse:
    """Cores that were busy with other programs between two readings of all our processes, or kept by the host."""
    took_s = last.at_s - first.at_s
    others = (last.machine_s - first.machine_s - last.cpu_s + first.cpu_s) / took_s
    return MachineUse(round(max(0.0, others), 3), round((last.stolen_s - first.stolen_s) / took_s, 3))


def _latencies(trial: Trial, recorded: Recording) -> Trial:
    """Percentiles of right answers; in an open loop also of unanswered requests, as lower bounds."""
    closed = replace(trial, latency_us=latency_of(recorded.histogram), histogram=encode_histogram(recorded.histogram))
    if not trial.is_open:
        return closed
    everything = histograms.new_histogram()
    everything.add(recorded.histogram)
    everything.add(recorded.histogram_censored)
    return replace(
        closed,
        latency_us=latency_of(everything),
        latency_at_least=at_least(recorded.histogram, recorded.histogram_censored),
        latency_from_send_us=latency_of(recorded.histogram_from_send),
        histogram_from_send=encode_histogram(recorded.histogram_from_send),
        lateness_us=recorded.lateness_us,
    )


def at_least(answered: Any, censored: Any) -> list[str]:
    """The percentiles that are lower bounds: from the rank of the youngest unanswered request on.

    A request that was given up at age t would have been answered later than t, so its latency is above t.
    """
    if not censored.get_total_count():
        return []
    total = answered.get_total_count() + censored.get_total_count()
    youngest_us = censored.get_min_value()
    steps = answered.get_recorded_iterator()
    below = sum(step.count_added_in_this_iter_step for step in steps if step.value_iterated_to < youngest_us)
    share = 100 * below / total
    return [name for name, percentile in PERCENTILES.items() if percentile > share]


def _against_limit(trial: Trial, cores: int) -> Trial:
    """S from the server's CPU time, the limit that follows from it, and the resource that was used to the full.

    A front works on the server's cores, so that its time per request counts for the limit, and not for S. The limit
    is that of all cores the server has, with a GIL too: C code that lets go of the GIL, such as a database driver,
    works beside the thread that holds it. What is used to the full counts the cores that a server could keep busy.
    """
    answered = trial.throughput_per_s * trial.duration_s if trial.throughput_per_s else 0.0
    restarted = any(event.code == "server-restarted" for event in trial.events)
    if not trial.server or not answered or restarted:
        return replace(trial, utilisation=utilisation_of(trial, 0.0, cores))
    cpu_s = trial.server.cpu_s / answered
    both_s = cpu_s + (trial.front.cpu_s / answered if trial.front else 0.0)
    limit_per_s = queueing.limit_per_s(
        users=trial.users or UNBOUNDED,
        io_wait_s=waiting_s(trial, cpu_s),
        cpu_s=both_s,
        threads=trial.slots,
        cores=max(cores, len(trial.server.cpus)),
    )
    utilisation = utilisation_of(trial, cpu_s, cores)
    return replace(
        trial,
        limit_per_s=limit_per_s,
        fraction_of_limit=answered / trial.duration_s / limit_per_s,
        cpu_us_per_request=cpu_s * 1e6,
        utilisation=utilisation,
        limiter=observed_bottleneck(utilisation),
    )
