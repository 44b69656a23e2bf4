"""The ledger: every claim has a source and evidence that exists, and its finding follows from nothing else."""

import importlib
import importlib.util
import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as replace_struct

from bench.analyse.findings import claims_about
from bench.base import programs
from bench.base.errors import ExitCode, NotRun
from bench.base.files import ROOT
from bench.claims import claim_page, claim_table, facts, ledger
from bench.claims.conformance.questions import QUESTIONS
from bench.claims.evidence import Absent, LiveMaterial, ReferenceMaterial, run_probe
from bench.claims.exhibits import a_methods, blocking_calls
from bench.claims.judging import (
    Finding,
    StepResult,
    assertion_for,
    combine_findings,
    fact_text,
    fill_in,
    finding_from_facts,
    judge_claim,
    judge_evidence,
    turn_words,
)
from bench.claims.probes import DOCUMENTS, PROBES, Probe, deployment
from bench.claims.schema import (
    CallEvidence,
    ConformanceEvidence,
    Evidence,
    FactEvidence,
    MethodEvidence,
    NoEvidence,
    ProbeEvidence,
    PublicClaim,
    RunEvidence,
    Step,
    TraceEvidence,
    TrapEvidence,
    load_claim,
    load_claims,
    load_sources,
    source_of,
)
from bench.cli import claims
from bench.cli.arguments import build_parser
from bench.cli.main import main
from bench.cli.overrides import overrides_of
from bench.model import experiment, run_store, trial_matrix
from bench.model.trial_matrix import Overrides
from bench.model.trial_plan import planned_trial
from bench.model.trial_record import Trial
from bench.trace.reference_traces import FEEDS, TRACES
from labs.traps.names import TRAPS

FINDINGS = ("supported", "it depends", "refuted", "cannot tell")
IDS = [each.id for each in load_claims()]


@pytest.fixture(scope="module")
def kept() -> ReferenceMaterial:
    return ReferenceMaterial()


def evidence() -> Iterator[tuple[PublicClaim, Any]]:
    return ((each, piece) for each in load_claims() for piece in each.evidence)


def of_kind(kind: type) -> list[Any]:
    return [piece for _, piece in evidence() if isinstance(piece, kind)]


def texts_of(piece: Any) -> list[str]:
    """All texts of a piece of evidence that what was measured is filled into."""
    return [piece.shows, *chain.from_iterable(piece.table.items())] if isinstance(piece, Evidence) else []


def test_ids_count_up_from_1_within_each_source() -> None:
    for letter in load_sources():
        numbers = [int(name[1:]) for name in IDS if name[0] == letter]
        assert numbers == list(range(1, len(numbers) + 1)), letter
    assert all(re.fullmatch(r"[A-Z][1-9][0-9]*", name) for name in IDS)
    assert len(set(IDS)) == len(IDS)


@pytest.mark.parametrize("each", load_claims(), ids=IDS)
def test_a_claim_is_settled_in_a_lesson_that_says_so(each: PublicClaim) -> None:
    source = ROOT / "notebooks" / f"{each.lesson}.py"
    assert f'claim_table.settled_in("{each.lesson}")' in source.read_text()


def test_every_claim_has_a_source_and_every_source_a_claim() -> None:
    assert {each.source for each in load_claims()} == set(load_sources())
    assert all(each.id.startswith(each.source) for each in load_claims())


@pytest.mark.parametrize("name", IDS)
def test_a_claim_says_something_and_is_decided_by_something_and_no_finding_is_written(name: str) -> None:
    each = load_claim(name)
    assert each.says
    assert each.turns_on
    assert any(not isinstance(piece, FactEvidence) or piece.decides for piece in each.evidence)
    written = [each.turns_on, *(text for piece in each.evidence for text in texts_of(piece))]
    assert not [text for text in written if any(finding in text for finding in FINDINGS)]


@pytest.mark.parametrize("name", IDS)
def test_the_command_that_shows_it_again_can_be_typed(name: str) -> None:
    words = shlex.split(load_claim(name).again)
    if words[0] == "lab":
        assert build_parser().parse_args(words[1:])
    elif words[:2] == ["python", "-m"]:
        assert importlib.util.find_spec(words[2])
    else:
        assert (ROOT / words[0]).is_file()


def planned(name: str) -> list[Trial]:
    """All trials of an experiment's reference profile, before they are measured."""
    return [
        planned_trial(plan)
        for plan in trial_matrix.trials_of(experiment.load_experiment(name), "reference", Overrides())
    ]


def steps_of(piece: RunEvidence) -> Sequence[Step | None]:
    return piece.steps or [None]


@pytest.mark.parametrize("name", IDS)
def test_the_run_that_shows_it_again_has_what_is_compared(name: str) -> None:
    each = load_claim(name)
    arguments = build_parser().parse_args(shlex.split(each.again)[1:]) if each.again.startswith("lab run") else None
    if arguments is None:
        assert " --profile " not in each.again
        return
    plans = [
        planned_trial(plan)
        for plan in trial_matrix.trials_of(
            experiment.load_experiment(arguments.experiment), arguments.profile, overrides_of(arguments)
        )
    ]
    compared = [
        assertion_for(piece, step)
        for piece in each.evidence
        if isinstance(piece, RunEvidence) and piece.experiment == arguments.experiment and piece.decides
        for step in steps_of(piece)
    ]
    assert compared
    assert claims_about(compared, plans) == compared


def test_what_a_claim_compares_is_measured_by_its_experiment() -> None:
    plans = {name: planned(name) for name in {piece.experiment for piece in of_kind(RunEvidence)}}
    for piece in of_kind(RunEvidence):
        for step in steps_of(piece):
            claim = assertion_for(piece, step)
            assert claims_about([claim], plans[piece.experiment]) == [claim], piece.shows


def test_every_trace_trap_call_and_method_that_is_named_is_there() -> None:
    assert {piece.trace for piece in of_kind(TraceEvidence)} <= {*TRACES, *FEEDS}
    assert {name for piece in of_kind(TrapEvidence) for name in piece.traps} <= set(TRAPS)
    assert {name for piece in of_kind(CallEvidence) for name in piece.calls} <= {
        call.name for call in blocking_calls.load()
    }
    assert {name for piece in of_kind(CallEvidence) for name in piece.things} <= set(blocking_calls.load_without_twin())
    known = {f"{method['place']}.{method['name']}" for method in a_methods.load()["methods"]}
    assert {name for piece in of_kind(MethodEvidence) for name in piece.methods} <= known


def test_every_probe_is_a_function_and_asked_by_a_claim() -> None:
    assert {piece.probe for piece in of_kind(ProbeEvidence)} == set(PROBES) - set(DOCUMENTS)
    for name, probe in PROBES.items():
        assert callable(getattr(importlib.import_module(f"bench.claims.probes.{probe.module}"), name))


def test_what_is_kept_is_what_follows_from_the_evidence_that_is_kept(kept: ReferenceMaterial) -> None:
    found = {each.entry.id: each for each in ledger.judge_all(kept)}
    assert {name: each.finding for name, each in found.items()} == findings_kept()
    sentences = {name: each["sentence"] for name, each in ledger.load_ledger(kept)["findings"].items()}
    assert {name: each.sentence for name, each in found.items()} == sentences


def findings_kept() -> dict[str, str]:
    return {name: each["finding"] for name, each in ledger.load_ledger(ReferenceMaterial())["findings"].items()}


@pytest.mark.parametrize("name", IDS)
def test_a_sentence_tells_what_was_measured_or_why_nothing_can_be_told(name: str, kept: ReferenceMaterial) -> None:
    sentence = judge_claim(load_claim(name), kept).sentence
    assert sentence.endswith(".")
    assert not re.search(r"[{}|]|(?<!=)\b(yes|True|False)\b", sentence)


@pytest.mark.parametrize("name", IDS)
def test_every_piece_of_evidence_tells_something_that_was_measured(name: str) -> None:
    for piece in load_claim(name).evidence:
        assert not isinstance(piece, Evidence) or re.search(r"\{\w", " ".join(texts_of(piece)))


@pytest.mark.parametrize("name", IDS)
def test_only_what_decides_stands_in_the_sentence(name: str) -> None:
    for piece in load_claim(name).evidence:
        assert isinstance(piece, NoEvidence) or piece.decides or not piece.shows


NAMED = re.compile(r"(Django|Python|PEP|PostgreSQL|HTTP)[ /][\d.]+")
INTERVAL = re.compile(r"\([\d,./]+ to [\d,./]+\)|(?<= to )[\d,./]+")
NUMBER = re.compile(r"(?<![\w.])\d[\d,./]*")


def numbers_in(sentence: str) -> list[str]:
    """The numbers of a sentence: an interval beside its estimate is none of its own, nor is a version."""
    plain = NAMED.sub("", sentence).replace("no difference detected (", "0 (")
    return NUMBER.findall(INTERVAL.sub("", plain))


@pytest.mark.parametrize(
    ("sentence", "count"),
    [
        ("1.4× (1.2 to 1.8) what 64 threads do", 2),
        ("525 to 649 threads, but 5 without", 2),
        ("no difference detected (0.97 to 1.06)", 1),
        ("In Django 6.1.3 1,005 of 2", 2),
        ("1/10.1× (1/17.0 to 1/8.6)", 1),
    ],
)
def test_an_interval_is_one_number(sentence: str, count: int) -> None:
    assert len(numbers_in(sentence)) == count


@pytest.mark.parametrize("name", IDS)
def test_a_finding_is_one_sentence_with_two_numbers_at_most(name: str, kept: ReferenceMaterial) -> None:
    each = judge_claim(load_claim(name), kept)
    decided = [part.text for part in each.parts if not isinstance(part.evidence, NoEvidence)]
    assert len(numbers_in("; ".join(decided))) <= 2, each.sentence
    assert ". " not in each.sentence


@pytest.mark.parametrize("name", IDS)
def test_a_page_has_all_that_is_known_of_a_claim_and_its_links_lead_somewhere(
    name: str, kept: ReferenceMaterial
) -> None:
    each = judge_claim(load_claim(name), kept)
    page = claim_page.to_page(each, kept)
    assert all(text in page for text in (each.entry.says, f"**{each.finding}**", each.sentence, each.entry.again))
    assert all(f"| {line.label} | {line.value} |" in page for line in each.table)
    for link in re.findall(r"\]\((\S+?)\)", page):
        assert link.startswith("https://") or (ROOT / claim_page.FOLDER / link).resolve().exists(), link


def test_a_source_without_a_link_is_the_project_s_own() -> None:
    assert {each.source for each in load_claims() if not source_of(each).link} == {"N"}


def test_every_question_that_servers_are_asked_of_is_one(kept: ReferenceMaterial) -> None:
    asked = {piece.question for piece in of_kind(ConformanceEvidence)}
    assert asked <= {question.name for question in QUESTIONS}


def test_answers_of_servers_are_counted_and_named(kept: ReferenceMaterial) -> None:
    piece = ConformanceEvidence(question="cancelled_view", interface="wsgi")
    found = facts.facts_for(piece, kept)
    assert (found["yes"], found["any_yes"], found["no"]) == (0, False, found["asked"])
    assert "gthread" in found["no_servers"]
    (one,) = [facts.facts_for(replace_struct(piece, servers=["sync"]), kept)["no_servers"]]
    assert one == ["sync"]
    with pytest.raises(Absent, match="lab conformance --keep"):
        facts.facts_for(replace_struct(piece, question="never_asked"), kept)


@pytest.mark.parametrize(
    "piece",
    [piece for piece in of_kind(FactEvidence) if piece.is_],
    ids=lambda piece: (piece.shows or next(iter(piece.table)))[:40],
)
def test_a_yes_that_becomes_a_no_is_told_otherwise(piece: Any, kept: ReferenceMaterial) -> None:
    found = facts.facts_for(piece, kept)
    told = "\n".join(texts_of(piece))
    flipped = {name: not value for name, value in found.items() if f"{{{name}:" in told}
    assert not flipped or fill_in(told, found) != fill_in(told, found | flipped)


def test_without_any_evidence_nothing_can_be_told_and_nothing_crashes(tmp_path: Path) -> None:
    found = ledger.judge_all(ReferenceMaterial(tmp_path))
    assert {each.finding for each in found} == {"cannot tell"}
    assert all("annot tell: " in each.sentence for each in found)


def test_a_number_changed_in_a_run_changes_the_finding(tmp_path: Path, kept: ReferenceMaterial) -> None:
    assert judge_claim(load_claim("P10"), kept).finding == "supported"
    run = kept.run("no_wait")
    run_store.save_run(replace(run, trials=[cheap(trial) for trial in run.trials]), tmp_path / "no_wait")
    changed = judge_claim(load_claim("P10"), ReferenceMaterial(tmp_path))
    assert changed.finding == "refuted"
    assert changed.sentence != judge_claim(load_claim("P10"), kept).sentence


def cheap(trial: Trial) -> Trial:
    """An async view under WSGI that takes a tenth of its CPU."""
    if not trial.stack.startswith("async_wsgi") or trial.cpu_us_per_request is None:
        return trial
    return replace(trial, cpu_us_per_request=trial.cpu_us_per_request / 10)


FACTS = {"n": 4, "word": "WSGIRequest", "no": False, "us": {"low": 40.0, "estimate": 50.0, "high": 60.0}}


@pytest.mark.parametrize(
    ("expected", "finding"),
    [
        ({"is": {"n": 4, "word": "WSGIRequest", "no": False}}, "supported"),
        ({"is": {"n": 4, "no": True}}, "refuted"),
        ({"least": {"n": 4}, "most": {"n": 4}}, "supported"),
        ({"least": {"n": 5}}, "refuted"),
        ({"most": {"n": 3}}, "refuted"),
        ({"within": {"us": [10, 100]}}, "supported"),
        ({"within": {"us": [50, 100]}}, "cannot tell"),
        ({"within": {"us": [61, 100]}, "is": {"n": 4}}, "refuted"),
        ({"apart": True, "least": {"n": 5, "no": 0}}, "it depends"),
        ({"apart": True, "least": {"n": 5}, "within": {"us": [50, 100]}}, "cannot tell"),
        ({}, None),
    ],
)
def test_facts_decide_as_the_claim_expects(expected: dict[str, Any], finding: str | None) -> None:
    renamed = {"is_" if name == "is" else name: value for name, value in expected.items()}
    assert finding_from_facts(ProbeEvidence(probe="alist", shows="", **renamed), FACTS) == finding


@pytest.mark.parametrize(
    ("parts", "finding"),
    [
        (["supported", "supported"], "supported"),
        (["refuted", "refuted"], "refuted"),
        (["supported", "refuted"], "it depends"),
        (["refuted", "cannot tell", "supported"], "it depends"),
        (["it depends", "supported"], "it depends"),
        (["refuted", "cannot tell"], "cannot tell"),
        (["cannot tell", "supported"], "cannot tell"),
    ],
)
def test_a_claim_is_refuted_only_if_all_that_decides_refutes_it(parts: list[Finding], finding: Finding) -> None:
    assert combine_findings(parts) == finding


def test_a_finding_that_depends_says_on_what(kept: ReferenceMaterial) -> None:
    each = judge_claim(load_claim("A1"), kept)
    assert each.finding == "it depends"
    assert each.answer == f"{each.sentence} It turns on the wait and the thread budget."


def test_a_sentence_says_where_a_finding_turns() -> None:
    seen = [
        StepResult("over 8 threads", "supported", "11×"),
        StepResult("over 32 threads", "cannot tell", "no difference"),
        StepResult("over 400 threads", "refuted", "0.5×"),
    ]
    assert turn_words(seen) == {
        "turn": "11× over 8 threads, but 0.5× over 400 threads",
        "holds_at": "over 8 threads",
        "fails_at": "over 400 threads",
    }
    assert turn_words(seen[:2]) == {"turn": "11× over 8 threads", "holds_at": "over 8 threads", "fails_at": ""}
    assert turn_words(seen[1:2])["turn"] == "over 32 threads: no difference"
    assert turn_words([seen[0], seen[0]])["turn"] == "11× over 8 threads and 11× over 8 threads"


def test_facts_are_told_in_words() -> None:
    assert [fact_text(fact) for fact in (True, False, [], ["a"], ["a", "b", "c"], 1234, FACTS["us"])] == [
        *("yes", "no", "none", "a", "a, b and c", "1,234", "50 (40 to 60)"),
    ]


@pytest.mark.parametrize(
    ("measured", "sentence"),
    [
        ({"works": True, "n": 1, "error": ""}, "it works once"),
        ({"works": False, "n": 1, "error": "TypeError"}, "it raises TypeError once"),
        ({"works": True, "n": 1000, "error": ""}, "it works 1,000 times"),
    ],
)
def test_a_fact_chooses_between_two_wordings(measured: dict[str, Any], sentence: str) -> None:
    shows = "it {works:works|raises {error}} {n:once|{n} times}"
    assert fill_in(shows, measured) == sentence


def test_a_run_of_which_nothing_is_expected_only_tells(kept: ReferenceMaterial) -> None:
    *_, telling = load_claim("P12").evidence
    assert isinstance(telling, RunEvidence)
    part = judge_evidence(telling, kept)
    assert (part.finding, part.text) == (None, "")
    assert "×" in part.table[0].value


def test_a_probe_ends_within_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROBES, "alist", Probe("orm", 0.01))
    with pytest.raises(Absent, match=r"did not end within 0\.01 s") as absence:
        run_probe("alist")
    assert not absence.value.is_of_this_place


def test_what_is_not_installed_says_nothing_of_django(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    material = LiveMaterial(["background_coroutine"])
    found = judge_claim(load_claim("A3"), material)
    assert (found.finding, found.is_absent) == ("cannot tell", True)
    assert "redis-server is not installed: ./scripts/system-packages gets it" in found.sentence
    (change,) = ledger.find_changes([found], {"A3": {"finding": "supported"}})
    assert not change.counts


@pytest.mark.live
def test_check_asks_again_and_finds_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "N5", "--check"]) == ExitCode.FINE
    seen = capsys.readouterr()
    assert "The finding is as kept." in seen.out
    assert "running probe alist" in seen.err


def test_check_fails_where_a_finding_has_changed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    was = {"F6": {"finding": "supported"}}
    monkeypatch.setattr(ledger, "load_ledger", lambda material: {"django": "5.2", "findings": was})
    assert main(["claims", "f6", "--check"]) == ExitCode.FAILED
    seen = capsys.readouterr()
    assert "\nF6: it depends, was supported." in seen.out
    assert "kept with 5.2. Runs are not made again here" in seen.err
    assert main(["claims", "F6", "--check", "--json"]) == ExitCode.FAILED
    (change,) = json.loads(capsys.readouterr().out)
    assert change == {"id": "F6", "was": "supported", "now": "it depends", "counts": True}


def test_an_unknown_id_is_one_sentence_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "N55"]) == ExitCode.USAGE
    seen = capsys.readouterr()
    assert (seen.out, len(seen.err.splitlines())) == ("", 1)
    assert "Unknown claim 'N55': did you mean" in seen.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["N5", "--write"], "leave everything else out"),
        (["--write", "--json"], "leave everything else out"),
        (["--write", "--check"], "not allowed with argument"),
        (["N5", "--lesson", "05"], "leave --finding and --lesson out"),
        (["--finding", "refutd"], "did you mean refuted?"),
        (["--lesson", "5_orm"], "did you mean 05_orm?"),
        (["--lesson", "01"], "No claim is settled in lesson '01'"),
        (["--lesson", "05", "--finding", "cannot-tell"], "None of "),
    ],
)
def test_words_that_do_not_go_together_are_one_sentence(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["claims", *words]) == ExitCode.USAGE
    seen = capsys.readouterr()
    assert (seen.out, len(seen.err.splitlines())) == ("", 1)
    assert said in seen.err


def test_claims_can_be_chosen_by_lesson_and_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "--lesson", "05", "--finding", "refuted", "--json"]) == ExitCode.FINE
    told = json.loads(capsys.readouterr().out)["claims"]
    assert {each["lesson"] for each in told} == {"05_orm"}
    assert {each["finding"] for each in told} == {"refuted"}
    theirs = [each.id for each in load_claims() if each.lesson == "05_orm"]
    assert [each["id"] for each in told] == [name for name in theirs if findings_kept()[name] == "refuted"]


def test_what_is_written_is_what_is_judged_by_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROBES, "exceptions", Probe("adapters", 0.01))
    material = LiveMaterial(["alist", "exceptions"], tmp_path)
    found = ledger.judge_all(material, [load_claim("N5"), load_claim("P8")])
    ledger.save_ledger(found, material)
    again = ledger.judge_all(ReferenceMaterial(tmp_path), [load_claim("N5"), load_claim("P8")])
    assert [(each.finding, each.sentence) for each in again] == [(each.finding, each.sentence) for each in found]
    assert [each.finding for each in again] == ["refuted", "cannot tell"]


def test_what_could_not_be_had_is_kept_so_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(claims, "LiveMaterial", lambda *names, **more: LiveMaterial(["background_coroutine"], tmp_path))
    monkeypatch.setattr(ledger, "load_claims", lambda: [load_claim("A3")])
    monkeypatch.setenv("PATH", "")
    assert main(["claims", "--write"]) == ExitCode.NOT_RUN
    assert "A3 is stored without evidence that is not available here" in capsys.readouterr().err
    assert json.loads((tmp_path / "claims.json").read_text())["findings"]["A3"]["finding"] == "cannot tell"


def test_a_finding_that_is_changed_in_the_kept_file_is_found(tmp_path: Path) -> None:
    document = json.loads(ledger.FILE.read_text())
    document["findings"]["F6"]["finding"] = "supported"
    (tmp_path / "claims.json").write_text(json.dumps(document))
    found = ledger.judge_all(ReferenceMaterial())
    (change,) = ledger.find_changes(found, ledger.load_ledger(ReferenceMaterial(tmp_path))["findings"])
    assert (change.now.entry.id, change.was, change.now.finding, change.counts) == (
        "F6",
        "supported",
        "it depends",
        True,
    )


def test_the_table_has_every_claim_and_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims"]) == ExitCode.FINE
    table = capsys.readouterr().out
    assert all(re.search(rf"^{name}\s", table, re.MULTILINE) for name in IDS)
    assert main(["claims", "--json"]) == ExitCode.FINE
    told = json.loads(capsys.readouterr().out)["claims"]
    assert {each["id"]: each["finding"] for each in told} == findings_kept()


@pytest.mark.live
def test_one_claim_shows_what_people_say_what_happens_and_how_to_see_it_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["claims", "N5"]) == ExitCode.FINE
    out = capsys.readouterr().out
    place = "bench/claims/probes/orm.py"
    for part in (
        load_claim("N5").says,
        load_sources()["N"].title,
        claim_page.path_of("N5"),
        findings_kept()["N5"],
        "probe alist",
        place,
        load_claim("N5").again,
    ):
        assert part in out


def test_every_piece_of_evidence_has_a_place_that_is_there(kept: ReferenceMaterial) -> None:
    for _, piece in evidence():
        place = ledger.place_of(piece, kept)
        if isinstance(piece, NoEvidence):
            assert not place
        elif place.startswith("lab trace "):
            assert build_parser().parse_args(shlex.split(place)[1:])
        else:
            assert place
            assert all((ROOT / path.replace("report.html", "run.json")).is_file() for path in place.split(", "))


def test_without_nginx_its_claim_cannot_be_told_and_says_what_gets_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "SBIN", str(tmp_path))
    with pytest.raises(NotRun, match=r"nginx is not installed: \./scripts/system-packages gets it"):
        deployment.behind_nginx()


@pytest.mark.live
@pytest.mark.skipif(not programs.find_program("nginx"), reason="needs nginx: ./scripts/system-packages gets it")
def test_nginx_holds_a_stream_back_that_is_not_in_chunks_and_is_told_not_to() -> None:
    found = run_probe("behind_nginx")
    assert found["rows"] == deployment.ROWS
    assert (found["httptools_streams"], found["h11_streams"]) == (True, False)
    assert found["h11_ms"] >= found["lasts_ms"]
    assert (found["direct_streams"], found["header_streams"], found["off_streams"]) == (True, True, True)
    assert (found["open"], found["left"]) == (deployment.STREAMS, 0)
    assert found["threads"] >= found["open"]


def test_a_lesson_tells_the_claims_that_it_settles() -> None:
    told = claim_table.to_markdown("N5", "n14").splitlines()
    assert [line[:7] for line in told] == ["- **N5*", "- **N14"]
    assert f"**{findings_kept()['N14']}**" in told[1]
