"""Every gate, on both sides of its bound."""

from dataclasses import replace
from typing import Any

import pytest

from bench.analyse.gates import judge
from bench.model.trial_record import Event, Latency, LoadUse, MachineUse, ServerUse, Trial

SERVER = ServerUse(4, 50_000_000, 100, cpu_share=0.5, cpu_s=5.0, processes=1, cpus=[0])
LOAD = LoadUse(cpu_share=0.2, processes=1, cpus=[1], busiest_share=0.2)
MACHINE = MachineUse(other_cores=0.0, stolen_cores=0.0)
LATENCY = Latency(p50=100_000, p90=110_000, p99=120_000, p999=130_000, max=140_000)
# 100 users x 1000 answers/s x 0.1 s: the books agree.
FLAWLESS = Trial(
    "async_asgi@uvicorn",
    "wait",
    {"ms": 100},
    [],
    users=100,
    repeat=0,
    issued=10_000,
    completed=10_000,
    answered=[10_000],
    throughput_per_s=1000.0,
    halves_per_s=[1000.0, 1000.0],
    fraction_of_limit=0.9,
    duration_s=10.0,
    server=SERVER,
    load=LOAD,
    machine=MACHINE,
    latency_us=LATENCY,
)
OPEN: dict[str, Any] = {"users": None, "rate_per_s": 1000.0, "lateness_us": Latency(100, 200, 400, 500, 600)}
EVIDENCE: dict[str, Any] = {"lost": 0, "mean_latency_s": 0.1, "shortest_s": 0.1}


def judged(**changes: Any) -> tuple[str, list[str]]:
    """Verdict and reason codes of the flawless trial with these changes to it or to the evidence."""
    evidence = EVIDENCE | {name: changes.pop(name) for name in EVIDENCE.keys() & changes.keys()}
    verdict, reasons = judge(replace(FLAWLESS, **changes), **evidence)
    assert all(reason.message for reason in reasons)
    return verdict, [reason.code for reason in reasons]


def event(code: str) -> Event:
    return Event(code, 1.0, 0.5, f"{code} 1.0 s into the window.")


def late(p99_us: int) -> Latency:
    return Latency(100, 200, p99_us, p99_us, p99_us)


def test_a_flawless_trial_is_ok() -> None:
    assert judged() == ("ok", [])
    assert judged(**OPEN) == ("ok", [])


@pytest.mark.parametrize(
    ("code", "within", "beyond"),
    [
        ("accounting", {"lost": 0}, {"lost": 1}),
        ("accounting", {"lost": 0}, {"lost": -1}),
        ("server-restarted", {"events": [event("clock-stepped")]}, {"events": [event("server-restarted")]}),
        ("wrong-answers", {}, {"failed": 1, "errors": {"wrong body": 1}}),
        ("too-early", {"io_wait_s": 0.1, "shortest_s": 0.098}, {"io_wait_s": 0.1, "shortest_s": 0.0979}),
        ("no-answers", {"completed": 1}, {"completed": 0, "throughput_per_s": 0.0}),
        ("no-answers", {"completed": 1}, {"completed": 0, "throughput_per_s": None}),
        ("above-limit", {"fraction_of_limit": 1.03}, {"fraction_of_limit": 1.031}),  # 10,000 answers, 100 users
    ],
)
def test_a_number_that_would_be_wrong_is_invalid(code: str, within: dict[str, Any], beyond: dict[str, Any]) -> None:
    assert judged(**within) == ("ok", [])
    assert judged(**beyond) == ("invalid", [code])


@pytest.mark.parametrize(
    ("code", "within", "beyond"),
    [
        (
            "errors",
            {"completed": 9990, "failed": 10, "errors": {"status 503": 10}},
            {"completed": 9989, "failed": 11, "errors": {"status 503": 11}},
        ),
        ("unsteady", {"mean_latency_s": 0.0949}, {"mean_latency_s": 0.0948}),  # 5 %, and 0.14 % for the window's edges
        ("unsteady", {"mean_latency_s": 0.1051}, {"mean_latency_s": 0.1052}),
        ("client-limited", {"in_flight_mean": 95.0}, {"in_flight_mean": 94.9}),
        ("drift", {"halves_per_s": [900.0, 1000.0]}, {"halves_per_s": [899.0, 1000.0]}),
        ("drift", {"halves_per_s": [1000.0, 900.0]}, {"halves_per_s": [1000.0, 899.0]}),
        ("client-limited", {"load": replace(LOAD, busiest_share=0.70)}, {"load": replace(LOAD, busiest_share=0.71)}),
        (
            "client-limited",
            {"load": replace(LOAD, cpu_share=1.40, processes=2, busiest_share=0.70)},
            {"load": replace(LOAD, cpu_share=1.00, processes=2, busiest_share=0.71)},
        ),
        ("client-limited", OPEN | {"lateness_us": late(5000)}, OPEN | {"lateness_us": late(5001)}),  # 5 % of the median
        (
            "client-limited",
            OPEN | {"latency_us": replace(LATENCY, p50=1000), "lateness_us": late(2000)},
            OPEN | {"latency_us": replace(LATENCY, p50=1000), "lateness_us": late(2001)},
        ),
        ("client-gap", {}, {"events": [event("client-gap")]}),
        ("lab-gap", {}, {"events": [event("lab-gap")]}),
        ("restarted-early", {}, {"events": [event("restarted-early")]}),
        ("server-busy", {}, {"events": [event("server-busy")]}),
        ("server-gap", {}, {"events": [event("server-gap")]}),
        *(("overload", OPEN, OPEN | {what: 1}) for what in ("timed_out", "dropped", "in_flight")),
        ("not-restarted", {}, {"server": None}),
        ("shared-cores", {"load": replace(LOAD, cpus=[1, 2])}, {"load": replace(LOAD, cpus=[0, 1])}),
        ("other-load", {"machine": MachineUse(0.30, 0.0)}, {"machine": MachineUse(0.31, 0.0)}),
        ("other-load", {"machine": MachineUse(0.25, 0.05)}, {"machine": MachineUse(0.25, 0.06)}),
    ],
)
def test_a_number_with_a_reservation_is_degraded(code: str, within: dict[str, Any], beyond: dict[str, Any]) -> None:
    assert judged(**within) == ("ok", [])
    assert judged(**beyond) == ("degraded", [code])


def test_the_window_may_cut_one_request_of_every_slot_in_our_favour() -> None:
    alone: dict[str, Any] = {"users": 1, "throughput_per_s": 2.6, "halves_per_s": [2.6, 2.6], "mean_latency_s": 0.385}
    assert judged(**alone, fraction_of_limit=26 / 25) == ("ok", [])  # 26 answers in 10 s
    assert judged(**alone, fraction_of_limit=26 / 24) == ("invalid", ["above-limit"])
    queueing = alone | {"users": 100, "slots": 1, "throughput_per_s": 2.6}
    assert judged(**queueing, fraction_of_limit=26 / 24) == ("invalid", ["above-limit"])


def test_few_answers_always_differ_between_the_halves() -> None:
    few: dict[str, Any] = {"answered": [10], "users": 1, "mean_latency_s": 0.001, "duration_s": 1.0}
    assert judged(**few, halves_per_s=[8.0, 12.0]) == ("ok", [])
    assert judged(**few, halves_per_s=[0.0, 20.0]) == ("degraded", ["drift"])


def test_halves_are_unlike_where_the_experiment_asks_for_it() -> None:
    assert judged(halves_per_s=[500.0, 1000.0], events=[event("frozen")]) == ("ok", [])


def test_a_stalled_client_is_a_reservation_that_counts_its_stalls() -> None:
    _, reasons = judge(replace(FLAWLESS, events=[event("client-gap")] * 3), **EVIDENCE)
    assert [reason.message for reason in reasons] == ["client-gap 1.0 s into the window. It happened 3 times."]


@pytest.mark.parametrize(("for_s", "verdict"), [(5.0, "degraded"), (5.1, "invalid")])
def test_a_lab_that_saw_less_than_half_of_a_window_knows_nothing_of_the_server(for_s: float, verdict: str) -> None:
    assert judged(events=[Event("lab-gap", 0.0, for_s, "The lab itself was held up.")]) == (verdict, ["lab-gap"])


def test_users_held_to_a_rate_have_pauses_and_no_law_of_little() -> None:
    assert judged(rate_per_s=1000.0, mean_latency_s=0.01) == ("ok", [])


def test_only_an_open_loop_can_be_overloaded() -> None:
    assert judged(in_flight=100) == ("ok", [])


def test_one_round_of_all_users_may_fall_on_either_side_of_the_middle() -> None:
    in_step: dict[str, Any] = {"answered": [1000], "users": 100, "duration_s": 1.0}
    assert judged(**in_step, halves_per_s=[900.0, 1100.0]) == ("ok", [])
    assert judged(**in_step, halves_per_s=[890.0, 1110.0]) == ("degraded", ["drift"])


def test_a_busy_client_is_itself_the_missing_time() -> None:
    assert judged(load=replace(LOAD, busiest_share=0.95), mean_latency_s=0.05) == ("degraded", ["client-limited"])


def test_invalid_says_only_what_makes_it_invalid() -> None:
    assert judged(lost=1, mean_latency_s=0.2, machine=MachineUse(1.0, 0.0)) == ("invalid", ["accounting"])


def test_all_reservations_are_told() -> None:
    _, codes = judged(machine=MachineUse(1.0, 0.0), mean_latency_s=0.2)
    assert codes == ["unsteady", "other-load"]


def test_error_classes_are_told_with_their_counts() -> None:
    errors = {"status 503": 3, "ConnectionResetError": 2}
    failed = replace(FLAWLESS, completed=0, throughput_per_s=0.0, failed=5, errors=errors)
    _, reasons = judge(failed, **EVIDENCE)
    assert "(2 ConnectionResetError, 3 status 503)" in reasons[0].message
