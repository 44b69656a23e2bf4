"""What `lab try` answers, from made-up measurements: each answer, each limiter, what else helps, what to mend."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.learn.tests.made_up_examinations import HOME, USERS, arm, examined, traced
from bench.learn.your_project.answer import Sides, answer_of, limiter_of, not_looked_at, sides_at
from bench.learn.your_project.mends import hop_price_us, mends_of
from bench.learn.your_project.model import Arm, Blocked, Checked, Examination, Notice, Page, Present, Refusal
from bench.learn.your_project.parts import report_of
from bench.learn.your_project.showing import to_markdown
from bench.show.project_page import page_of

SLOW = arm("today", 30, 31, 32)
POOL = arm("threads", 240, 250, 260)
ASGI = arm("asgi", 600, 610, 630, cpu_us=1300.0)


def sides(*arms: Arm) -> Sides:
    found = examined(*arms)
    assert found.terms
    at = sides_at(found.arms, found.terms, USERS, 3)
    assert isinstance(at, Sides)
    return at


def test_asgi_that_beats_every_wsgi_server_is_an_answer_to_switch() -> None:
    answer = answer_of(examined(SLOW, POOL, ASGI))
    assert answer.value == "switch"
    assert answer.ratio
    assert answer.against_best
    assert answer.ratio.estimate == pytest.approx(610 / 31)
    assert answer.against_best.estimate == pytest.approx(610 / 250)
    assert "20× (19 to 21)" in answer.because
    assert "against mysite@gthread:64: 2.4×" in answer.because


def test_asgi_that_answers_less_than_today_is_an_answer_to_stay() -> None:
    answer = answer_of(examined(arm("today", 900, 910, 950), arm("threads", 890, 930, 940), arm("asgi", 290, 300, 310)))
    assert answer.value == "stay"
    assert answer.because == "With 64 at once, ASGI against today's mysite@gthread:8: 0.33× (0.31 to 0.34)."


def test_more_threads_that_are_as_good_are_an_answer_to_stay() -> None:
    answer = answer_of(examined(SLOW, arm("threads", 600, 605, 620), ASGI))
    assert answer.value == "stay"
    assert "no difference detected" in answer.because
    assert answer.because.endswith("64 threads cost less than another server, and change less.")
    assert answer.instead[0] == "64 threads: 19.5× (18.8 to 20.7), 90 MB"


def test_an_interval_on_both_sides_of_one_cannot_tell_and_says_what_follows_all_the_same() -> None:
    answer = answer_of(examined(SLOW, arm("threads", 300, 500, 900), arm("asgi", 350, 600, 800)))
    assert answer.value == "cannot tell"
    assert "no difference detected" in answer.because
    assert "All the same, mysite@gthread:64 against today's: 16.1× (9.4 to 30.0)" in answer.because


def test_a_pool_that_is_not_surely_better_is_not_recommended() -> None:
    answer = answer_of(examined(arm("today", 60, 155, 290), arm("threads", 130, 260, 330), arm("asgi", 70, 154, 210)))
    assert answer.value == "cannot tell"
    assert "Nor is it known whether 64 threads would help: mysite@gthread:64 against today's: no diff" in answer.because
    assert "cost less" not in answer.because


def test_a_small_advantage_is_not_worth_another_server() -> None:
    assert answer_of(examined(arm("today", 100, 101, 102), arm("asgi", 105, 106, 107))).value == "stay"


def test_with_two_restarts_the_lab_cannot_tell() -> None:
    answer = answer_of(examined(SLOW, arm("asgi", 600, 610, verdict="invalid", reasons=["The server ended."])))
    assert (answer.value, answer.ratio) == ("cannot tell", None)
    assert answer.because == "ASGI as it is (mysite@uvicorn) could not be measured: The server ended."


def test_a_login_wall_in_front_of_everything_cannot_tell_and_names_the_cause() -> None:
    walls = [Checked(Page(path, 0.5), 302, refused="302 Found: it leads to /login.") for path in ("/", "/shop")]
    answer = answer_of(examined(SLOW, ASGI, checked=walls))
    assert answer.value == "cannot tell"
    assert answer.because.startswith("No page could be measured as it is. /, /shop: 302 Found: it leads to /login")


def test_what_needs_asgi_stands_in_the_answer_also_where_pages_should_stay() -> None:
    notice = Notice("channels", "Channels is used: WebSockets need ASGI, whatever the answer for pages is")
    answer = answer_of(examined(arm("today", 90, 91, 92), arm("asgi", 29, 30, 31), inventory=[notice]))
    assert (answer.value, answer.because.endswith(f"(0.32 to 0.34). {notice.says}.")) == ("stay", True)


def test_pages_that_fail_alike_are_named_together() -> None:
    failing = [Checked(Page(path, 1 / 3), 500, refused=why) for path, why in (("/", "a"), ("/b", "c"), ("/d", "a"))]
    assert answer_of(examined(SLOW, ASGI, checked=failing)).because.endswith("as it is. /, /d: a; /b: c.")


def test_an_answer_about_less_than_half_of_the_requests_is_none() -> None:
    unequal = Checked(Page("/shop", 0.6), 200, difference=["- one", "+ two"])
    equal = Checked(Page("/", 0.4), 200)
    answer = answer_of(examined(SLOW, ASGI, checked=[equal, unequal]))
    assert answer.value == "cannot tell"
    assert "/shop: it is answered differently behind ASGI" in answer.because
    lighter = replace(unequal, page=Page("/shop", 0.3))
    assert answer_of(examined(SLOW, POOL, ASGI, checked=[equal, lighter])).value == "switch"


def test_a_page_whose_call_was_refused_is_not_taken_for_its_real_time() -> None:
    refusal = Refusal("shop/views.py:12", "pay.example.com", 1, HOME.name)
    answer = answer_of(examined(SLOW, POOL, ASGI, refusals=[refusal]))
    assert answer.value == "cannot tell"
    assert "its call to pay.example.com (shop/views.py:12) was refused" in answer.because
    assert "--allow-network" in answer.because


def test_a_load_generator_that_limits_both_sides_cannot_tell() -> None:
    busy = [replace(one, load_share=0.9) for one in (arm("today", 7000, 7100, 7200), arm("asgi", 6900, 7000, 7100))]
    answer = answer_of(examined(*busy))
    assert answer.value == "cannot tell"
    assert "load generator" in answer.because


def test_what_does_not_fit_into_memory_is_no_way_out() -> None:
    large = arm("threads", 2000, 2100, 2200, rss_bytes=3_000_000_000)
    found = examined(SLOW, large, ASGI)
    assert answer_of(found).value == "stay"
    assert found.terms
    bounded = replace(found, terms=replace(found.terms, memory_bytes=1_000_000_000))
    assert answer_of(bounded).value == "switch"


def test_who_is_behind_asgi_today_stays_there_or_switches_back() -> None:
    today = Present("uvicorn", None, 1, "Dockerfile:9")
    better = replace(ASGI, role="today")
    assert answer_of(examined(better, POOL, today=today)).value == "stay"
    worse = replace(better, per_s=[80, 82, 84])
    assert answer_of(examined(worse, POOL, today=today)).value == "switch"
    same = replace(better, per_s=[200, 250, 300])
    assert answer_of(examined(same, POOL, today=today)).value == "cannot tell"


@pytest.mark.parametrize(
    ("today", "others", "limiter"),
    [
        (SLOW, [POOL], "its 8 threads: 56 of 64 requests wait for one, and the CPU is used 40 %"),
        (SLOW, [], "its 8 threads: 56 of 64 requests wait for one"),
        (replace(SLOW, cpu_share=0.97), [POOL], "the server's CPU: 97 % of 1 core, 500 µs a request"),
        (replace(SLOW, load_share=0.8), [], "the load generator, which used 80 % of its core"),
        (replace(SLOW, slots=64), [], "what requests wait for: there is a thread for each"),
        (
            SLOW,
            [arm("threads", 28, 31, 36)],
            "unknown; with 64 threads it answers no more for sure, and the CPU is used 40 %",
        ),
    ],
)
def test_the_limiter_is_what_is_used_to_the_full(today: Arm, others: list[Arm], limiter: str) -> None:
    assert limiter_of(sides(today, *others, ASGI)).startswith(limiter)


def swept(*better_from: tuple[int, float]) -> Examination:
    """An examination at several numbers of users: ASGI's requests per second against 100."""
    others = [
        one
        for users, per_s in better_from
        for one in (arm("today", 100.0, users=users), arm("asgi", per_s, users=users))
    ]
    return examined(arm("today", 100, 101, 102), arm("asgi", 400, 401, 402), *others)


@pytest.mark.parametrize(
    ("levels", "says"),
    [
        ([(8, 60.0), (16, 90.0)], "It turns between 16 and 64 at once"),
        ([(8, 60.0), (16, 200.0)], "It turns between 8 and 16 at once"),
        ([(8, 150.0)], "ASGI answers more at all numbers that were measured, from 8 at once on"),
        ([(128, 90.0)], "ASGI answers more at none of the numbers that were measured, up to 128"),
        ([], ""),
    ],
)
def test_a_sweep_says_from_where_on_it_turns(levels: list[tuple[int, float]], says: str) -> None:
    turns = answer_of(swept(*levels)).turns
    assert turns.startswith(says)
    assert bool(turns) == bool(says)


def test_more_processes_and_a_useless_pool_are_named_instead() -> None:
    some = answer_of(examined(SLOW, POOL, arm("processes", 60, 61, 62), ASGI))
    assert some.instead == ["64 threads: 8.1× (7.5 to 8.7), 90 MB", "3 processes: 1.97× (1.88 to 2.07), 90 MB"]
    none = answer_of(examined(replace(SLOW, slots=64), ASGI))
    assert none.instead[0] == "more threads than 64 have nothing to do with 64 at once"


def test_a_handler_of_the_lab_is_compared_with_asgi_as_it_is_and_with_today() -> None:
    asgi, folded = arm("asgi", 29, 30, 31), arm("what if", 58, 60, 62)
    said = answer_of(examined(arm("today", 90, 91, 92), asgi, folded)).instead[-1]
    assert said.startswith("ASGI with zero_hop: against ASGI as it is 2.0× (1.9 to 2.1); against today's 0.66×")
    behind_asgi = examined(replace(asgi, role="today"), POOL, folded, today=Present("uvicorn", None, 1, "Dockerfile:9"))
    assert answer_of(behind_asgi).instead == ["ASGI with zero_hop: against ASGI as it is 2.0× (1.9 to 2.1)"]


def test_the_memory_that_more_processes_would_need_is_named_with_its_origin() -> None:
    found = examined(SLOW, POOL, ASGI)
    used = "more processes: none fits into 90 MB, the most that was used here; name more with --memory"
    assert answer_of(found).instead[-1] == used
    assert found.terms
    bounded = replace(found, terms=replace(found.terms, memory_bytes=100_000_000))
    assert answer_of(bounded).instead[-1] == "more processes: none fits into the 100 MB of --memory"


def test_few_restarts_and_busy_neighbours_are_said() -> None:
    assert answer_of(examined(SLOW, POOL, ASGI)).sure.startswith("Intervals are over 3 restarts")
    assert "Other programs kept 1.2 cores busy" in answer_of(examined(SLOW, replace(ASGI, other_cores=1.2))).sure


def test_a_hop_costs_what_asgi_takes_more_over_the_hops_of_a_request() -> None:
    traces = [traced("a.Middleware", "a.Middleware", "the view", "Django itself")]
    assert hop_price_us(examined(SLOW, ASGI, traces=traces)) == pytest.approx((1300 - 500) / 4)
    assert hop_price_us(examined(SLOW, ASGI)) is None
    assert hop_price_us(examined(SLOW, replace(ASGI, cpu_us=400.0), traces=traces)) is None


def test_the_three_first_things_to_mend_have_places_and_what_each_is_worth() -> None:
    shop = Page("/shop", 0.25)
    found = examined(
        *(SLOW, POOL, ASGI),
        checked=[Checked(Page("/", 0.75), 200), Checked(shop, 200)],
        traces=[traced("a.Middleware", "a.Middleware", "the view", "Django itself", page=HOME)],
        blocking=[
            Blocked(shop, "shop/views.py:7", "time.sleep", 4.0, 3),
            Blocked(shop, "shop/views.py:9", "open", 900.0, 1, is_loading=True),
        ],
        inventory=[
            Notice("middleware", "a.Middleware is sync only", "a.py", 3),
            Notice("stream", "a stream", "b.py", 5),
        ],
    )
    pool, blocking, hops = mends_of(found)
    assert (pool.place, pool.gain) == ("Procfile:1", pytest.approx(250 / 31))
    assert "64 threads instead of 8" in pool.what
    assert blocking.place == "shop/views.py:7"
    assert blocking.worth.startswith(
        "4.00 ms in 25 % of the requests: 1.00 ms of the loop each, 63 % of its time at 630"
    )
    assert hops.place == "a.py:3"
    assert hops.worth.startswith("2.00 of 4.00 hops x 200 µs = 400 of the 1,300 µs of CPU")
    assert pool.gain > blocking.gain > hops.gain > 1


def test_what_has_no_number_is_mended_after_what_has_one() -> None:
    notices = [Notice("stream", f"stream {number // 5}", "b.py", number) for number in range(1, 7)]
    mends = mends_of(examined(SLOW, POOL, ASGI, inventory=notices))
    assert [(mend.what, mend.place) for mend in mends][1:] == [
        ("stream 0", "b.py:1, b.py:2, b.py:3 and 1 more"),
        ("stream 1", "b.py:5, b.py:6"),
    ]
    assert "64 threads" in mends[0].what


def test_an_application_that_no_server_can_load_is_mended_and_a_context_variable_is_only_noticed() -> None:
    kinds = ("context variable", "application")
    notices = [Notice(kind, f"{kind} of this project", "mysite/asgi.py", 1) for kind in kinds]
    (mend,) = mends_of(examined(SLOW, ASGI, inventory=notices))
    assert (mend.what, mend.worth) == ("application of this project", "no server can load it")


def test_what_was_not_looked_at_names_pages_and_unknown_users() -> None:
    wall = Checked(Page("/shop", 0.2), 302, refused="302")
    found = examined(SLOW, ASGI, checked=[Checked(HOME, 200), wall])
    assert "pages that could not be measured: /shop" in not_looked_at(found)
    assert not any("--users" in line for line in not_looked_at(found))
    assert found.terms
    assert any("--users" in line for line in not_looked_at(replace(found, terms=replace(found.terms, is_swept=True))))


def test_the_screen_has_the_answer_its_table_and_why_an_arm_has_no_number() -> None:
    log = "The server did not boot. The end of its log:\nTraceback\nlab: zero_hop does not run here: too old."
    found = examined(SLOW, POOL, ASGI, arm("what if", verdict="not-run", reasons=[log]))
    found = replace(found, answer=answer_of(found), not_looked_at=not_looked_at(found))
    text = to_markdown(found)
    assert text.startswith("**switch**: With 64 at once, ASGI against today's")
    assert "| today | 31.0 | 30.0–32.0 |" in text
    assert "- ASGI with zero\\_hop: not-run, zero\\_hop does not run here: too old." in text.replace(
        "zero_hop", "zero\\_hop"
    )
    assert "### Mend first" in text
    page = page_of("<mysite>", "switch", "sentence", report_of(found))
    assert "&lt;mysite&gt;: switch" in page
    assert "mysite@gthread:64" in page
