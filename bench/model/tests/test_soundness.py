"""A run.json with a right digest may still say what cannot be: it is shown, or refused in one sentence, everywhere."""

import base64
import json
import os
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.analyse import rows
from bench.base.errors import DamagedRun, UsageError
from bench.claims.evidence import Absent, ReferenceMaterial
from bench.cli import main
from bench.learn import lessons
from bench.measure import orphaned_runs
from bench.measure.tests.processes import lab
from bench.model import histograms, run_json, run_store, trial_record
from bench.model.run_record import Run
from bench.model.tests import runs

STACKS = ("sync_wsgi@gthread:8", "async_asgi@uvicorn")
Harm = Callable[[dict[str, Any]], object]


def sweep() -> Run:
    """Two stacks, three levels, three restarts, and a claim."""
    claim = replace(runs.CLAIM, left={"stack": STACKS[1], "users": 100}, right={"stack": STACKS[0], "users": 100})
    return runs.sweep(STACKS, users=(10, 50, 100), claims=[claim])


def kept(folder: Path, harm: Harm) -> str:
    """The sweep's run.json after the harm, with a right digest."""
    data = json.loads(run_json.to_json(sweep()))
    harm(data)
    text = json.dumps({**data, "sha256": ""}, separators=(",", ":")).replace('"<deep>"', "[" * 5000 + "]" * 5000)
    digest = run_json.digest_of(text.encode())
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_text(text.replace('"sha256":""', f'"sha256":"{digest}"', 1))
    return str(folder)


def in_trials(**values: Any) -> Harm:
    return lambda run: [trial.update(values) for trial in run["trials"]]


def in_first(part: str, **values: Any) -> Harm:
    return lambda run: run["trials"][0][part].update(values)


def in_commands(**values: Any) -> Harm:
    return lambda run: run["commands"].update(values)


def in_claim(**values: Any) -> Harm:
    return lambda run: run["plan"]["claims"][0].update(values)


def in_environment(**values: Any) -> Harm:
    return lambda run: run["environment"].update(values)


def nested(levels: int) -> Any:
    return 1 if not levels else [nested(levels - 1)]


def with_other_bounds() -> str:
    """A histogram as large as its text says: half a million values of eight bytes, in 60 characters."""
    encoded = base64.b64decode(histograms.encode_histogram(histograms.new_histogram()))
    header = bytearray(zlib.decompress(encoded[8:]))
    header[12:16] = (5).to_bytes(4, "big")
    packed = zlib.compress(bytes(header))
    return base64.b64encode(encoded[:4] + len(packed).to_bytes(4, "big") + packed).decode()


WHOLE = histograms.encode_histogram(histograms.new_histogram())
REFUSED: dict[str, tuple[Harm, str]] = {
    "a negative rate": (in_trials(throughput_per_s=-5.0), "Expected `float` >= 0"),
    "a number near the end of floats": (in_trials(took_s=1e308), "`$.trials[0].took_s`"),
    "a huge count": (in_trials(completed=10**30), "`$.trials[0].completed`"),
    "more users than a lab has": (in_trials(users=10**9), "`$.trials[0].users`"),
    "no time at all for a column": (in_trials(answered_every_s=0), "`$.trials[0].answered_every_s`"),
    "a stack that commands the terminal": (in_trials(stack="a\x1b[2J@b"), "`$.trials[0].stack`"),
    "a name without end": (in_trials(workload="w" * 1000), "`$.trials[0].workload`"),
    "a title without end": (lambda run: run.update(title="t" * 20_000), "`$.title`"),
    "an empty histogram": (in_trials(histogram="AAAA"), "the histogram of trial 1 is damaged"),
    "half a histogram": (in_trials(histogram=WHOLE[:40]), "the histogram of trial 1 is damaged"),
    "a histogram in other letters": (in_trials(histogram="ßß"), "the histogram of trial 1 is damaged"),
    "a histogram with other bounds": (in_trials(histogram_from_send=with_other_bounds()), "not over 1 us to 10 min"),
    "columns of different lengths": (in_first("samples", at_s=[0.1]), "trial 1 has columns of different lengths"),
    "a command that is not there": (
        in_first("command_names", server="nginx"),
        "trial 1 names the command 'nginx', which the run does not have",
    ),
    "a command without end": (
        in_commands(load=["w" * 20_000]),
        "Expected `str` of length <= 10000 - at `$.commands[...][0]`",
    ),
    "a command in one word": (in_commands(load="locust"), "Expected `array`, got `str` - at `$.commands[...]`"),
    "commands of a trial by number": (in_trials(command_names={"server": 1}), "`$.trials[0].command_names[...]`"),
    "no commands": (lambda run: run.pop("commands"), "missing required field `commands`"),
    "a trial that names no commands": (lambda run: run["trials"][0].pop("command_names"), "field `command_names`"),
    "a claim about no number": (in_claim(measure="commands"), "claim 1 is about commands, which is no number"),
    "a claim about nothing": (in_claim(measure="speed"), "claim 1 is about speed, which is no number"),
    "a claim about a class": (in_claim(measure="__class__.__mro__"), "claim 1 is about __class__.__mro__"),
    "a claim about no stack": (in_claim(left={"users": 10}), "claim 1 compares: Object missing required field `stack`"),
    "a claim about users in words": (in_claim(right={"stack": STACKS[0], "users": "ten"}), "claim 1 compares"),
    "a claim between no bounds": (in_claim(expect="between", within=[]), "claim 1 is about two bounds"),
    "a claim between bounds the wrong way": (in_claim(expect="between", within=[2, 1]), "claim 1 is about two bounds"),
    "nesting that ends the parser": (in_environment(deep="<deep>"), "Nested too deeply"),
    "nesting that ends the report": (in_environment(deep=nested(300)), "its environment"),
    "packages in a list": (in_environment(packages=["django"]), "its environment: Expected `object`, got `array`"),
    "memory in words": (in_environment(memory_bytes="much"), "its environment"),
    "a commit of numbers": (in_environment(git=["0123abc"]), "its environment"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_sentence_that_says_where(case: str, tmp_path: Path) -> None:
    harm, cause = REFUSED[case]
    with pytest.raises(DamagedRun) as refusal:
        run_store.load_run(Path(kept(tmp_path, harm)))
    said = str(refusal.value)
    assert said.startswith(f"{tmp_path}/run.json is not a run of this lab (")
    assert cause in said
    assert "\n" not in said


def test_every_reader_refuses_it_with_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = kept(tmp_path / "damaged", in_claim(left={}))
    run_store.save_run(sweep(), tmp_path / "sound")
    for words in (
        *(("report", damaged), ("report", damaged, "--json"), ("report", damaged, "--markdown"), ("verify", damaged)),
        *(("compare", damaged, str(tmp_path / "sound")), ("compare", str(tmp_path / "sound"), damaged)),
    ):
        assert main.main(words) == 2
        out, err = capsys.readouterr()
        assert (out, len(err.splitlines())) == ("", 1)
        assert "claim 1 compares" in err


def a_lost_middleware(run: dict[str, Any]) -> None:
    for trial in run["trials"]:
        trial["middleware"] = ["sessions_of_old"]


def an_endless_reason(run: dict[str, Any]) -> None:
    run["trials"][0] |= {"verdict": "degraded", "reasons": [{"code": "x", "message": "\x1b[2J" * 1_000_000}]}


SHOWN: dict[str, Harm] = {
    "a middleware that was renamed": a_lost_middleware,
    "names as long as may be": in_trials(stack="M" * 100, workload="W" * 100, limiter="M" * 100),
    "a number of which no ratio can be made": in_trials(throughput_per_s=1e-320, cpu_us_per_request=5e-324),
    "a reason without end": an_endless_reason,
}


@pytest.mark.parametrize("case", SHOWN)
def test_what_is_only_unusual_is_shown(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unusual = kept(tmp_path / "unusual", SHOWN[case])
    run_store.save_run(sweep(), tmp_path / "usual")
    assert main.main(("report", unusual)) == 0
    assert main.main(("report", unusual, "--markdown")) == 0
    assert main.main(("verify", unusual)) in (0, 1, 4)
    assert main.main(("compare", unusual, str(tmp_path / "usual"), "--anyway")) in (0, 2)  # 2: no row in common
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert len(out + err) < 100_000
    assert (tmp_path / "unusual" / "report.html").stat().st_size < 3_000_000


def test_a_reason_without_end_keeps_its_beginning_and_its_end() -> None:
    message = trial_record.Reason("x", "begins " + "x" * 100_000 + " ends").message
    assert message.startswith("begins ")
    assert message.endswith(" ends")
    assert len(message) < trial_record.LONGEST_MESSAGE + 100


def test_a_ratio_over_next_to_nothing_is_not_told() -> None:
    row, *_ = rows.rows_of(runs.run_of([runs.trial_of(STACKS[0], throughput_per_s=1e-300)]))
    assert row.why_not("throughput_per_s") == "a value of 0"


def test_a_run_in_results_that_cannot_be_read_is_named_and_ends_nothing(tmp_path: Path) -> None:
    deep = kept(tmp_path / "deep", lambda run: run.update(status="running", environment={"deep": "<deep>"}))
    run_store.save_run(replace(sweep(), status="running"), tmp_path / "dead")
    skipped, aborted = sorted(orphaned_runs.abort_orphaned_runs([tmp_path]), reverse=True)
    assert skipped.startswith(f"Skipped: {deep}/run.json is not a run of this lab (Nested too deeply)")
    assert aborted.startswith(f"{tmp_path}/dead was not finished")


def test_a_claim_that_rests_on_a_damaged_run_says_so(tmp_path: Path) -> None:
    kept(tmp_path / "io_wait", in_trials(histogram="AAAA"))
    with pytest.raises(Absent, match="the histogram of trial 1 is damaged"):
        ReferenceMaterial(tmp_path).run("io_wait")


@pytest.mark.parametrize("verb", ["report", "verify"])
def test_a_pipe_in_place_of_a_run_is_refused_and_waited_for_by_nobody(verb: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.json")
    done = lab(verb, str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "run.json cannot be read (it is no ordinary file)" in done.stderr


def test_a_file_larger_than_any_run_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_store, "LARGEST_BYTES", 2**20)
    with (tmp_path / "run.json").open("wb") as file:
        file.truncate(2**20 + 1)
    with pytest.raises(UsageError, match=r"cannot be read \(it is larger than 1 MB\)"):
        run_store.load_run(tmp_path)


def test_a_name_no_file_can_have_is_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(("report", "x" * 5000)) == 2
    assert "There is no run" in capsys.readouterr().err


def test_a_run_without_versions_says_so_in_a_lesson(tmp_path: Path) -> None:
    run = run_store.load_run(Path(kept(tmp_path, lambda run: run["environment"].clear())))
    assert lessons.describe_run(run).endswith("Django of a version not known.")
