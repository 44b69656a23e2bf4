"""Writes a run as plain data for JSON: what its table shows, and its findings."""

from dataclasses import asdict
from typing import Any

import msgspec

from bench.analyse import stats
from bench.analyse.findings import findings_of
from bench.analyse.plateaus import Plateau, plateaus_of
from bench.analyse.rows import Row, rows_of
from bench.model import run_json
from bench.model.load import STORED
from bench.model.run_record import Run
from bench.show.tables.footnotes import account_of

MEASURES = {
    "limit_per_s": "limit_per_s",
    "fraction_of_limit": "fraction_of_limit",
    "latency_p50_us": "latency_us.p50",
    "latency_p99_us": "latency_us.p99",
    "latency_from_send_p50_us": "latency_from_send_us.p50",
    "latency_from_send_p99_us": "latency_from_send_us.p99",
    "lateness_p99_us": "lateness_us.p99",
    "cpu_us_per_request": "cpu_us_per_request",
    "threads_max": "server.threads_max",
    "rss_bytes_max": "server.rss_bytes_max",
    "connections_max": "server.connections_max",
    "server_cpu_share": "server.cpu_share",
    "front_cpu_us_per_request": "front.cpu_us_per_request",
    "front_cpu_share": "front.cpu_share",
    "front_rss_bytes_max": "front.rss_bytes_max",
    "front_connections_max": "front.connections_max",
    "load_cpu_share": "load.cpu_share",
    "held_rss_bytes": "held.rss_held_bytes",
    "held_served": "held.served",
    "held_starved": "held.starved",
    "held_first_byte_p99_us": "held.first_byte_us.p99",
    "held_all_delivered_us": "held.all_delivered_us",
    "held_threads": "held.threads_held",
    "held_threads_left": "held.threads_left",
    "held_rss_per_connection_bytes": "held.rss_per_connection_bytes",
    "gone_ended_in_vain": "gone.ended_in_vain",
    "gone_cut_short": "gone.cut_short",
    "gone_newcomer_us": "gone.newcomer_us",
    "gone_cpu_us_per_leaver": "gone.cpu_us_per_leaver",
    "slow_served": "slow.served",
    "slow_starved": "slow.starved",
    "slow_kept_share": "slow.kept_share",
    "slow_inside_most": "slow.inside_most",
    "slow_alone_answered_per_s": "slow.alone.answered_per_s",
    "slow_beside_answered_per_s": "slow.beside.answered_per_s",
    "slow_beside_p50_us": "slow.beside.latency_us.p50",
    "slow_beside_p99_us": "slow.beside.latency_us.p99",
    "streams_whole": "streams.whole",
    "streams_left": "streams.left",
    "streams_late": "streams.late",
    "streams_carried": "streams.carried",
    "streams_first_part_p50_us": "streams.first_part_us.p50",
    "streams_first_part_p99_us": "streams.first_part_us.p99",
    "streams_gap_p50_us": "streams.gap_us.p50",
    "streams_gap_p99_us": "streams.gap_us.p99",
    "streams_gap_growth": "streams.gap_growth",
    "streams_cpu_us_per_part": "streams.cpu_us_per_part",
    "streams_stopped": "streams.stopped",
    "streams_in_vain": "streams.in_vain",
    "streams_parts_in_vain": "streams.parts_in_vain",
    "front_cpu_s": "front.cpu_s",
    "failed": "failed",
    "database_connections_max": "database.connections_max",
    "database_coins_off": "database.coins_off",
    "database_payments_lost": "database.payments_lost",
    "database_recovered_us": "database.recovered_us",
    "waves_first_open_max": "waves.first.open_max",
    "waves_first_open_left": "waves.first.open_left",
    "waves_first_failed": "waves.first.failed",
    "waves_second_failed": "waves.second.failed",
    "waves_recovered_us": "waves.recovered_us",
}


def interval_to_json(interval: stats.Interval | None) -> list[float] | None:
    """Return low and high of an interval; None where there is none."""
    return None if interval is None else [interval.low, interval.high]


def load_to_json(row: Row) -> dict[str, Any]:
    """Return the stored fields of the row's load, None for those that it lacks."""
    return {name: getattr(row.trial, name) for name in STORED}


def to_json(run: Run) -> dict[str, Any]:
    """Return the whole run as in its run.json, and in `rows` what its table shows."""
    return {**msgspec.json.decode(run_json.to_json(run)), "rows": to_json_rows(run)}


def to_json_rows(run: Run) -> list[dict[str, Any]]:
    """Return the rows as plain data: medians over restarts, throughput with its interval where there is one."""
    plateaus = plateaus_of(run)
    return [_row(row, next((it for it in plateaus if row in it.rows), None)) for row in rows_of(run)]


def _row(row: Row, plateau: Plateau | None) -> dict[str, Any]:
    return {
        "stack": row.stack,
        "environment": asdict(row.environment) if row.environment else None,
        "request": row.request,
        "middleware": list(row.middleware),
        **load_to_json(row),
        "server_cores": row.trial.server_cores,
        "limiter": row.limiter,
        "plateau": None if plateau is None else _plateau(plateau),
        "verdict": row.verdict,
        "restarts": dict(row.verdicts),
        "reasons": [{"code": it.code, "message": it.message, "restarts": count} for it, count in row.reasons],
        "throughput_per_s": row.median("throughput_per_s"),
        "throughput_interval_per_s": interval_to_json(row.throughput_interval),
        **{key: row.median(measure) for key, measure in MEASURES.items()},
        "latency_at_least": sorted({name for trial in row.measured for name in trial.lower_bounds}),
        "account": account_of(row),
        "events": [{"repeat": trial.repeat, **asdict(event)} for trial in row.trials for event in trial.events],
    }


def _plateau(plateau: Plateau) -> dict[str, Any]:
    return {
        "users": [row.users for row in plateau.rows],
        "throughput_per_s": plateau.throughput_per_s,
        "limiter": plateau.limiter,
        "used": None if plateau.most_used is None else plateau.most_used[1],
    }


def to_json_findings(run: Run) -> list[dict[str, Any]]:
    """Return the findings as plain data."""
    return [
        {
            "says": finding.claim.says,
            "finding": finding.value,
            "text": finding.text,
            "ratio": None if finding.ratio is None else finding.ratio.estimate,
            "ratio_interval": interval_to_json(finding.ratio),
        }
        for finding in findings_of(run)
    ]
