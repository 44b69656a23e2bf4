"""What the READMEs say is what the results say; what they point at is looked at in `test_prose.py`."""

import gzip
import re
import shutil
from pathlib import Path

import pytest

from bench.analyse import findings
from bench.base.errors import LabError
from bench.base.files import ROOT
from bench.cli import readme
from bench.cli.tests.prose import tracked
from bench.model import experiment, run_store, trial_matrix
from bench.model.trial_plan import planned_trial
from bench.show.figures import catalogue

READMES = sorted(path for path in tracked() if path.name == "README.md")


def test_generated_parts_are_fresh() -> None:
    assert readme.stale() == []


def test_a_changed_number_is_noticed(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    changed = re.sub(r"\d(?= ms \|)", lambda digit: str((int(digit[0]) + 1) % 10), text, count=1)
    assert changed != text
    assert readme.rendered(changed) == text


def test_a_page_of_a_claim_that_is_old_or_too_many_or_not_there_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = tmp_path / "claims"
    monkeypatch.setattr(readme, "CLAIM_PAGES", pages)
    rendered = readme.claim_pages()
    monkeypatch.setattr(readme, "claim_pages", lambda: rendered)
    readme.write_claim_pages()
    assert readme.stale_claim_pages() == []
    (pages / "A1.md").write_text("something else")
    (pages / "A2.md").unlink()
    (pages / "Z9.md").write_text("a claim that is no more")
    assert readme.stale_claim_pages() == [f"results/reference/claims/{name}.md" for name in ("A1", "A2", "Z9")]
    readme.write_claim_pages()
    assert readme.stale_claim_pages() == []


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(LabError, match="'nonsense'"):
        readme.rendered("<!-- generated: nonsense -->\n<!-- end -->")


def test_the_picture_of_the_hops_is_drawn_from_the_traces_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert readme.is_hops_fresh()
    monkeypatch.setattr(run_store, "REFERENCE", tmp_path)
    assert not readme.is_hops_fresh()
    readme.write_hops()
    assert readme.is_hops_fresh()
    (tmp_path / readme.HOPS).write_text("<!-- drawn from other traces -->\n<svg/>")
    assert not readme.is_hops_fresh()


PAGES = [run_store.REFERENCE / name / "README.md" for name in experiment.experiment_names(drafts=False)]
SHORT = [path for path in READMES if path not in PAGES and path.parent != ROOT and path.parent.name != "results"]


@pytest.mark.parametrize("page", PAGES, ids=[page.parent.name for page in PAGES])
def test_a_run_has_a_page_with_its_question_its_answer_and_the_figures_that_carry_it(page: Path) -> None:
    text, run = page.read_text(), run_store.load_run(page.parent)
    assert run.question in text
    told = [finding for finding in findings.findings_of(run) if finding.value != "cannot tell"]
    assert len(re.findall(r"^- \*\*(Supported|Refuted)\*\*: .+\. Measured: .+\.$", text, re.MULTILINE)) == min(
        3, len(told)
    )
    pictures = re.findall(r"^!\[.+\]\((.+\.svg)\)$", text, re.MULTILINE)
    assert min(2, len(catalogue.figures_for(run))) <= len(pictures) <= 3
    assert {path.name for path in page.parent.glob("*.svg")} == set(pictures)
    assert "<h1" not in text


def test_a_page_that_says_something_else_or_a_figure_too_many_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run_store.REFERENCE / "held", tmp_path / "held")
    monkeypatch.setattr(run_store, "REFERENCE", tmp_path)
    assert readme.is_page_fresh("held")
    (tmp_path / "held" / "left_over.svg").write_text("<svg/>")
    assert not readme.is_page_fresh("held")
    readme.write_page("held")
    assert readme.is_page_fresh("held")
    page = tmp_path / "held" / "README.md"
    page.write_text(page.read_text().replace("1,005", "1,006"))
    assert not readme.is_page_fresh("held")


@pytest.mark.parametrize("path", SHORT)
def test_a_folder_s_readme_is_short(path: Path) -> None:
    assert len(readme.PART.sub("", path.read_text()).splitlines()) <= 15


@pytest.mark.parametrize("name", experiment.experiment_names(drafts=False))
def test_every_experiment_has_a_whole_reference_run(name: str) -> None:
    run = run_store.load_run(run_store.REFERENCE / name)
    assert run.profile == "reference"
    assert run.status == "complete"
    assert len(run.trials) == run.plan.trials
    assert run.plan.repeats >= 5
    assert run.environment["git"]["dirty"] is False


@pytest.mark.parametrize("name", experiment.experiment_names(drafts=False))
def test_a_reference_run_holds_all_that_its_experiment_plans_and_claims(name: str) -> None:
    run, found = run_store.load_run(run_store.REFERENCE / name), experiment.load_experiment(name)
    planned = trial_matrix.trials_of(found, "reference", trial_matrix.Overrides())
    planned += trial_matrix.capacity_trials(found, planned)
    asked = {(plan.stack.name, plan.request.name, planned_trial(plan).load_text, plan.middleware) for plan in planned}
    assert asked == {(trial.stack, trial.request, trial.load_text, tuple(trial.middleware)) for trial in run.trials}
    assert run.plan.claims == found.claims


def test_no_run_tells_where_it_was_made() -> None:
    for path in run_store.REFERENCE.glob("*/*"):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert str(ROOT).encode() not in content, path
