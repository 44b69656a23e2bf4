"""The signs in the table of `lab try`: which numbers have one, and that its meaning stands beside the table."""

from bench.learn.tests.made_up_examinations import arm, examined
from bench.learn.your_project.parts import LOAD, Part, arm_cells, screen_of


def load_part(*at_least: str) -> Part:
    """The table of a project whose pool of today could not be timed in these percentiles."""
    today = arm("today", 16.0, 16.0, 16.0, p50_ms=2717.0, p99_ms=3684.0, at_least=list(at_least))
    found = examined(today, arm("asgi", 600.0, 610.0, 620.0, p50_ms=311.0, p99_ms=449.0))
    return next(part for part in screen_of(found) if part.title == LOAD)


def test_a_percentile_of_users_who_waited_longer_than_was_measured_is_a_lower_bound() -> None:
    today, asgi = load_part("p50").rows
    assert today[3:5] == ["≥2,717", "3,684"]
    assert asgi[3:5] == ["311", "449"]


def test_a_sign_is_explained_where_it_is_used() -> None:
    assert [line[0] for line in load_part("p50").lines] == ["≥"]
    assert load_part().lines == []
    assert arm_cells(arm("asgi", 1.0, 1.0, 1.0, verdict="degraded"))[1].startswith("○ ")
