"""How what `lab try` found is shown: on 80 columns, and of an examination that was interrupted."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from bench.learn.tests.made_up_examinations import HOME, arm, examined, traced
from bench.learn.your_project.answer import answer_of
from bench.learn.your_project.document import document
from bench.learn.your_project.examine import STEPS, Step, take
from bench.learn.your_project.model import Blocked, Checked, Examination, Interrupted, Page, Traced
from bench.learn.your_project.parts import MOST_LINES, report_of, screen_of
from bench.learn.your_project.showing import print_answer, to_markdown
from bench.show.project_page import page_of

LONG = "why this page could not be measured, " * 5
SHOP = Page("/shop/?page=2", 0.5)


def shown() -> Examination:
    """An examination with a page of each kind, and calls that block."""
    pages = [Checked(HOME, 200), Checked(SHOP, 200), Checked(Page("/wall"), 302, refused=LONG)]
    blocking = [
        *(Blocked(page, "shop/views.py:7", "time.sleep", ms, 3) for page, ms in ((HOME, 40.0), (SHOP, 50.0))),
        Blocked(SHOP, "shop/urls.py:1", "import big", 90.0, 1, is_loading=True),
    ]
    traces = [traced("Django itself", "the view"), Traced(SHOP, "asgi", problem="it did not end.")]
    found = examined(
        *(arm("today", 30, 31, 32), arm("asgi", 60, 61, 63)), checked=pages, blocking=blocking, traces=traces
    )
    return replace(found, answer=answer_of(found))


def screen(found: Examination) -> list[str]:
    file = io.StringIO()
    print_answer(found, Console(file=file, width=80))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_no_line_of_the_screen_is_wider_than_80_columns_and_what_goes_on_hangs() -> None:
    lines = screen(shown())
    assert max(map(len, lines)) <= 80
    begins = next(number for number, line in enumerate(lines) if line.startswith("- /wall (100 %): not measured, why"))
    assert lines[begins + 1].startswith("  ")


def test_a_page_is_a_row_with_its_view_its_hops_and_how_long_it_took() -> None:
    (pages,) = [part for part in screen_of(shown()) if part.title == "Pages"]
    assert pages.heads == ("page", "share", "view", "ASGI hops", "WSGI ms", "ASGI ms")
    assert pages.rows == [
        ["/", "100 %", "sync", "2", "–", "0.01"],
        ["/shop/?page=2", "50 %", "sync", "–", "–", "–"],
    ]
    assert "/shop/?page=2: not traced behind ASGI, it did not end." in pages.lines
    (more,) = [part for part in report_of(shown()) if part.title == "Pages"]
    assert more.rows[0][-2:] == ["–", "2 hops to a thread, 1 thread"]


def test_a_call_that_stops_several_pages_is_one_line_and_first_requests_are_a_number() -> None:
    parts = {part.title: part.lines for part in screen_of(shown())}
    assert parts["What blocks the event loop"] == [
        "shop/views.py:7: time.sleep · it stops the loop for 50.0 ms in /, /shop/?page=2",
        "and 1 while it loads for the first time, in the report",
    ]
    every = {part.title: part.lines for part in report_of(shown())}
    assert (
        "shop/urls.py:1: import big · it stops the loop for 90.0 ms in /shop/?page=2, while it loads for the first time"
        in (every["What blocks the event loop"])
    )


def test_a_long_table_of_pages_is_cut_on_the_screen_and_says_so() -> None:
    pages = [Checked(Page(f"/{number}"), 200) for number in range(MOST_LINES + 3)]
    found = examined(arm("today", 30, 31, 32), checked=pages)
    (part,) = [part for part in screen_of(found) if part.title == "Pages"]
    assert len(part.rows) == MOST_LINES
    assert part.lines[-1] == "… and 3 more, in the report"


def test_what_the_answer_is_and_what_it_does_not_know_is_never_cut() -> None:
    unknown = [f"unknown {number}" for number in range(MOST_LINES + 3)]
    part = screen_of(replace(shown(), not_looked_at=unknown))[-1]
    assert (part.title, part.lines) == ("Not looked at", unknown)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.says)
def test_ctrl_c_keeps_what_was_found_and_says_what_was_left_to_do(step: Step) -> None:
    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    before = Examination(shown().project, [HOME, SHOP], checked=[Checked(HOME, 200)])
    with pytest.raises(Interrupted) as interruption:
        take(step, before, None, interrupt)  # type: ignore[arg-type]
    found = interruption.value.found
    (says,) = found.not_looked_at
    here = STEPS.index(step)
    assert [one.says in says for one in STEPS] == [number >= here for number in range(len(STEPS))]
    asked, left = document(found)["paths"]
    assert (asked["measurable"], left["measurable"], left["refused"]) == (True, False, "not asked")
    assert says in page_of("mysite", "interrupted", "", report_of(found))
    assert says in to_markdown(found)
