"""The teaching plan: its minutes add up, and it has all lessons and exercises. Its commands: `test_prose.py`."""

import re
from itertools import pairwise

import pytest

from bench.base.files import ROOT
from bench.learn import build_notebooks
from labs.exercises.project.names import EXERCISES

TEACHING = (ROOT / "notebooks" / "TEACHING.md").read_text()
HEADINGS = [
    ("03_sync_inside", "One blocking line"),
    ("08_within_a_request", "Where gather does not overlap"),
    ("04_hops", "What it costs"),
]


def part(heading: str) -> str:
    """A part of the plan, from its heading to the next."""
    return TEACHING.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("heading", ["Ninety minutes, with the room", "Ninety minutes, without it"])
def test_the_minutes_of_the_short_plans_follow_each_other_and_are_ninety(heading: str) -> None:
    spans = [tuple(map(int, span)) for span in re.findall(r"^\| (\d+)–(\d+) \|", part(heading), re.MULTILINE)]
    assert spans[0][0] == 0
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    assert spans[-1][1] == 90


def test_the_minutes_of_the_long_plan_add_up_with_its_breaks() -> None:
    plan = part("Half a day")
    said = re.search(r"\((\d+) minutes\) with two breaks", plan)
    assert said
    assert sum(map(int, re.findall(r"^\| (\d+) \|", plan, re.MULTILINE))) == int(said[1])
    assert plan.count("| break |") == 2


def test_the_long_plan_has_lessons_once_and_in_order_names_the_others_and_has_every_exercise() -> None:
    plan = part("Half a day")
    table, _, others = plan.partition("<!-- generated: lessons_not_planned -->")
    planned, left_out = (re.findall(r"\]\((\w+)\.ipynb\)", text) for text in (table, others))
    assert planned == sorted(set(planned))
    assert sorted([*planned, *left_out]) == sorted(path.stem for path in build_notebooks.sources())
    assert set(re.findall(r"lab check (\w+)", plan)) == set(EXERCISES)


@pytest.mark.parametrize(("lesson", "heading"), HEADINGS)
def test_a_heading_that_the_plans_name_is_there(lesson: str, heading: str) -> None:
    assert f'"{heading}"' in TEACHING
    assert f"# {heading}\n" in (ROOT / "notebooks" / f"{lesson}.py").read_text()


def test_a_show_comes_after_the_predictions_of_its_lesson() -> None:
    whens = re.findall(r"^\| `\./scripts/(show_\w+)` \|.*\| ([^|]+) \|$", part("The shows"), re.MULTILINE)
    assert {name for name, _ in whens} == {"show_hops", "show_stall", "show_threads"}
    assert all(when.startswith("after the predictions of ") for _, when in whens)
    for line in [*part("Ninety minutes").splitlines(), *part("Half a day").splitlines()]:
        if "show_hops" in line or "show_threads" in line:
            assert "prediction" in line
