"""Two runs side by side: paired by what was asked, refused where the machines or versions are unlike."""

import json
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.analyse.comparability import differences
from bench.analyse.compare import Comparison, Ratio, compare, compare_environments
from bench.base.errors import ExitCode, UsageError
from bench.cli.main import main
from bench.model import run_store
from bench.model.run_record import Run
from bench.model.tests import runs
from bench.model.trial_record import ServerEnvironment, Trial
from bench.show.comparison import show, to_markdown

LOOP, THREADS = "async_asgi@uvicorn", "sync_wsgi@gthread:8"


def closed(*rates: float, stack: str = LOOP, **changes: Any) -> list[Trial]:
    """Restarts that differ in throughput only."""
    return [runs.trial_of(stack, repeat=i, throughput_per_s=rate, **changes) for i, rate in enumerate(rates)]


def opened(*p99_us: int, share: float = 0.5, **changes: Any) -> list[Trial]:
    """Open loops that differ in their p99 only."""
    latency = runs.open_trial_of(LOOP, share=share).latency_us
    assert latency is not None
    return [
        runs.open_trial_of(LOOP, share=share, repeat=i, latency_us=replace(latency, p99=value), **changes)
        for i, value in enumerate(p99_us)
    ]


def elsewhere(run: Run, **environment: Any) -> Run:
    return replace(run, environment=run.environment | environment)


def compared(first: Sequence[Trial], second: Sequence[Trial]) -> Comparison:
    return compare(runs.run_of(first), runs.run_of(second))


def ratio_of(comparison: Comparison, measure: str) -> Ratio:
    (pair,) = comparison.pairs
    (ratio,) = [ratio for ratio in pair.ratios if ratio.measure.path == measure]
    return ratio


@pytest.mark.parametrize(
    ("rates", "outcome", "text"),
    [
        ((200, 202, 204), "better", "2.00× (1.96 to 2.04)"),
        ((50, 51, 52), "worse", "0.50×"),
        ((90, 101, 112), "no difference", "no difference detected"),
        ((99, 101, 103), "no change that matters", "no difference detected"),
        ((103, 103.5, 104), "no change that matters", "1.025× (1.010 to 1.040)"),
    ],
)
def test_closed_loops_are_compared_by_throughput_the_second_over_the_first(
    rates: tuple[float, ...], outcome: str, text: str
) -> None:
    ratio = ratio_of(compared(closed(100, 101, 102), closed(*rates)), "throughput_per_s")
    assert ratio.outcome == outcome
    assert ratio.text.startswith(text)


def test_what_matters_is_for_the_reader_to_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [
        saved(runs.run_of(closed(*rates)), tmp_path / str(rates[0])) for rates in ((100, 101, 102), (103, 103.5, 104))
    ]
    for percent, outcome in (("5", "no change that matters"), ("1", "better")):
        main(["compare", *folders, "--json", "--threshold", percent])
        found = json.loads(capsys.readouterr().out)
        assert found["pairs"][0]["ratios"][0]["outcome"] == outcome
    main(["compare", *folders, "--markdown"])
    assert "no change that matters" in capsys.readouterr().out


def test_less_cpu_per_request_is_better() -> None:
    cheap = [replace(trial, cpu_us_per_request=100.0 + trial.repeat) for trial in closed(100, 101, 102)]
    assert ratio_of(compared(closed(100, 101, 102), cheap), "cpu_us_per_request").outcome == "better"


def test_open_loops_are_compared_by_latency_from_the_intended_send() -> None:
    comparison = compared(opened(1000, 1010, 1020), opened(3000, 3010, 3020))
    assert [ratio.measure.path for ratio in comparison.pairs[0].ratios] == [
        "latency_us.p99",
        "latency_us.p50",
        "cpu_us_per_request",
    ]
    assert ratio_of(comparison, "latency_us.p99").outcome == "worse"
    assert ratio_of(comparison, "latency_us.p99").text.startswith("2.98×")


def test_shares_of_the_capacity_are_paired_though_their_rates_differ() -> None:
    comparison = compared(opened(1000, 1010, 1020), opened(1000, 1010, 1020, rate_per_s=77.0, capacity_share=0.5))
    assert len(comparison.pairs) == 1
    assert "77/s" in comparison.pairs[0].load_text


def test_restarts_of_one_share_are_one_row_though_their_rates_differ() -> None:
    trials = [*opened(1000, 1010), *opened(1020, rate_per_s=77.0, capacity_share=0.5)]
    (pair,) = compared(trials, trials).pairs
    assert [len(row.trials) for row in (pair.first, pair.second)] == [3, 3]


def test_a_lower_bound_is_not_compared() -> None:
    overload: dict[str, Any] = {"verdict": "degraded", "reasons": [runs.OVERLOAD], "latency_at_least": ["p99"]}
    ratio = ratio_of(compared(opened(1, 2, 3, **overload), opened(1, 2, 3)), "latency_us.p99")
    assert (ratio.interval, ratio.outcome) == (None, "cannot compare")
    assert "the first has no usable number (overload)" in ratio.text


def test_what_did_not_run_says_so_on_its_side() -> None:
    unmade = [runs.without_numbers(trial, "not-run", runs.NO_BOOT) for trial in closed(1, 2, 3)]
    ratio = ratio_of(compared(closed(1, 2, 3), unmade), "throughput_per_s")
    assert "the second has no usable number (not-run)" in ratio.text


def test_two_restarts_a_side_cannot_be_told() -> None:
    assert "fewer than 3 restarts" in ratio_of(compared(closed(1, 2), closed(3, 4)), "throughput_per_s").text


def test_rows_of_one_run_only_are_listed() -> None:
    comparison = compared(closed(1, 2, 3), [*closed(1, 2, 3), *closed(1, 2, 3, stack=THREADS)])
    assert (len(comparison.pairs), comparison.only_first) == (1, [])
    assert [row.stack for row in comparison.only_second] == [THREADS]
    assert f"only in the second run: {THREADS}" in to_markdown(comparison)


def test_unlike_schedules_leave_open_loops_uncompared() -> None:
    run = runs.run_of(opened(1, 2, 3))
    steady = replace(run, plan=replace(run.plan, schedule="constant"))
    assert ratio_of(compare(run, steady), "latency_us.p99").text == "another schedule: poisson / constant"


RUN = runs.run_of(closed(1, 2, 3))


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"python": "CPython 3.13.0"}, "python CPython 3.11.7 / CPython 3.13.0"),
        ({"cpu": "Other CPU"}, "cpu Imaginary CPU @ 2.00GHz / Other CPU"),
        ({"cores": 64}, "cores 2 / 64"),
        ({"server_cores": [0, 1]}, "server cores unknown / 0,1"),
        ({"cores_shared": True}, "cores shared no / yes"),
        ({"gil": False}, "gil unknown / no"),
        ({"governor": "powersave"}, "governor unknown / powersave"),
        ({"system": "Linux 6.2.0"}, "system Linux 6.1 / Linux 6.2"),
        ({"memory_bytes": 16_400_000_000}, "memory 8.2 GB / 16.4 GB"),
        ({"lock_sha256": "ab" * 32}, "lock sha256 unknown / abababababab:"),
        ({"packages": {**runs.ENVIRONMENT["packages"], "uvloop": "0.23.0"}}, "uvloop absent / 0.23.0"),
        ({"packages": {**runs.ENVIRONMENT["packages"], "django": "6.1"}}, "django 5.2.19 / 6.1"),
        ({"file_descriptors": [256, 1024]}, "file descriptors 65536 / 256"),
    ],
)
def test_another_machine_or_version_is_refused_with_what_differs(environment: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        compare(RUN, elsewhere(RUN, **environment))
    assert said in str(refused.value)
    assert str(refused.value).endswith("say --anyway to compare them all the same.")
    assert compare(RUN, elsewhere(RUN, **environment), anyway=True).differences != []


@pytest.mark.parametrize(
    "environment",
    [
        {"memory_bytes": 8_300_000_000},
        {"file_descriptors": [10_000, 10_000]},
        {"file_descriptors": [-1, -1]},
        {"system": "Linux 6.1.9-generic"},
    ],
)
def test_what_explains_no_number_is_not_refused(environment: dict[str, Any]) -> None:
    assert compare(RUN, elsewhere(RUN, **environment)).differences == []


def test_another_patch_of_the_kernel_is_a_note() -> None:
    assert "system Linux 6.1.0 / Linux 6.1.9" in compare(RUN, elsewhere(RUN, system="Linux 6.1.9")).notes


def test_fronts_are_compared_where_both_runs_know_their_versions() -> None:
    ours, theirs = (elsewhere(RUN, fronts={"nginx": f"nginx/{version}"}) for version in ("1.22.1", "1.28.0"))
    assert compare(ours, theirs, anyway=True).differences == ["nginx nginx/1.22.1 / nginx/1.28.0"]
    assert compare(RUN, theirs).differences == []


@pytest.mark.parametrize(
    "plan", [{"load_processes": 2}, {"engine": "wrk"}, {"target": "http://10.0.0.1:80"}, {"expect_workers": 3}]
)
def test_another_load_generator_is_refused(plan: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="differ in"):
        compare(RUN, replace(RUN, plan=replace(RUN.plan, **plan)))


def test_a_run_that_keeps_no_engine_was_made_by_the_default_one() -> None:
    plan = replace(RUN.plan)
    object.__delattr__(plan, "engine")  # as it is read from a file that has none
    assert "engine" not in vars(plan)
    assert differences(replace(RUN, plan=plan), RUN) == []


def test_profiles_windows_and_unfinished_runs_are_notes() -> None:
    other = replace(RUN, profile="quick", status="aborted", plan=replace(RUN.plan, duration_s=1.5, trials=9))
    assert compare(RUN, other).notes == [
        "profile reference / quick",
        "duration s 5.0 / 1.5",
        "the second run is aborted: 3 of 9 trials",
    ]


def three() -> Comparison:
    """A faster, a slower and an equal pair."""
    first, second = [], []
    for users, rates in ((10, (200, 202, 204)), (20, (50, 51, 52)), (30, (99, 101, 103))):
        first += closed(100, 101, 102, users=users)
        second += closed(*rates, users=users)
    return compared(first, second)


def test_markdown_begins_with_a_count_of_pairs_and_shows_what_changed() -> None:
    text = to_markdown(three())
    assert "3 pairs by throughput, p99 or delay: 1 faster, 1 slower, 1 no change that matters, 0 no difference" in text
    shown, folded = text.split("<details>")
    assert "10 users" in shown
    assert "30 users" not in shown
    assert "30 users" in folded


def test_names_are_shown_in_markdown_as_they_are() -> None:
    run = runs.run_of(closed(1, 2, 3), experiment="*e*", started_at="[now](http://x)")
    named = replace(run, trials=[replace(trial, stack="`s`<b>", middleware=["_m_"]) for trial in run.trials])
    text = to_markdown(compare(named, named))
    assert text.startswith(r"**\*e\***: [now]\(http://x) (")
    assert r"| \_m\_ | `` `s`&lt;b> `` |" in text


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_terminal_shows_every_ratio_at_any_width(width: int) -> None:
    out = StringIO()
    show(three(), Console(width=width, emoji=False, file=out))
    text = out.getvalue()
    assert text.count("req/s") == 3
    assert "2.00×" in text
    assert max(map(len, text.splitlines())) <= width


def saved(run: Run, folder: Path) -> str:
    run_store.save_run(run, folder)
    return str(folder)


def test_lab_compare_refuses_in_one_sentence_and_goes_on_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = saved(RUN, tmp_path / "first")
    second = saved(elsewhere(RUN, python="CPython 3.13.0"), tmp_path / "second")
    assert main(["compare", first, second]) == ExitCode.USAGE
    seen = capsys.readouterr()
    assert (seen.out, len(seen.err.splitlines())) == ("", 1)
    assert main(["compare", first, second, "--anyway"]) == 0
    assert capsys.readouterr().out.startswith("differs: python CPython 3.11.7 / CPython 3.13.0")


def test_runs_without_a_common_row_are_refused_in_one_sentence() -> None:
    with pytest.raises(
        UsageError, match=r"No row of \w+ has a partner in \w+ .*: compare two runs of one experiment\."
    ):
        compared([runs.trial_of(LOOP, users=1)], [runs.trial_of(LOOP, users=2)])


def test_lab_compare_as_json_is_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = saved(RUN, tmp_path / "run")
    assert main(["compare", folder, folder, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["notes"] == ["both are the same run"]
    assert found["counts"] == {"no difference": 1}
    assert found["pairs"][0]["ratios"][0]["measure"] == "throughput_per_s"
    assert main(["compare", folder, folder, "--markdown"]) == 0
    assert "1 pair by throughput" in capsys.readouterr().out


def test_two_environments_of_one_run_are_compared_row_by_row() -> None:
    trials = [*closed(100, 101, 102), *closed(200, 201, 202, stack=f"{LOOP}%py313t"), *closed(1, 2, 3, stack=THREADS)]
    said = ServerEnvironment("py313t", "CPython 3.13.5t", gil=False, pid=1, versions={"django": "6.1"})
    run = runs.run_of([replace(it, environment=said if "%" in it.stack else None) for it in trials])
    found = compare_environments(run, "default", "py313t")
    assert [(pair.first.stack, pair.second.stack) for pair in found.pairs] == [(LOOP, LOOP)]
    assert ratio_of(found, "throughput_per_s").text.startswith("1.99×")
    assert [row.stack for row in found.only_first] == [THREADS]
    assert "environments: not known / py313t (CPython 3.13.5t, GIL off)" in found.notes
    with pytest.raises(UsageError, match="The run has no trial in the environment 'nowhere'"):
        compare_environments(run, "default", "nowhere")


def test_an_environment_that_has_changed_between_two_runs_is_a_difference() -> None:
    def run(versions: dict[str, str], **changes: Any) -> Run:
        said = replace(ServerEnvironment("other", "CPython 3.13.5t", False, 1, versions), **changes)
        return runs.run_of(closed(1, 2, 3, stack=f"{LOOP}%other", environment=said))

    assert differences(run({"django": "6.1"}), run({"django": "6.1"}, pid=2)) == []
    assert differences(run({"django": "6.1"}), run({"django": "6.2"}, gil=True)) == [
        "%other gil no / yes",
        "%other django 6.1 / 6.2",
    ]


@pytest.mark.parametrize(
    "words", [["--environment", "a"], ["--environment", "a,b,c"], ["other", "--environment", "a,b"], []]
)
def test_compare_needs_two_runs_or_two_environments(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "first_look", *words]) == ExitCode.USAGE
    assert "environments of" in capsys.readouterr().err
