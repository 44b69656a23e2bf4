"""The table of middlewares: made from the chain that Django built, so that every hop has one cause, and the advice."""

from pathlib import Path

import pytest

from bench.trace.inside.model import DJANGO, VIEW, Trace
from bench.trace.tests.traced_project import ask, write_project

MIDDLEWARES = '''
from django.core.exceptions import MiddlewareNotUsed
from django.middleware.clickjacking import XFrameOptionsMiddleware as ReExported
from django.utils.decorators import async_only_middleware, sync_and_async_middleware, sync_only_middleware

class SyncOnly:
    def __init__(self, get_response):
        self.kept_here = get_response
    def __call__(self, request):
        return self.kept_here(request)

class AnotherSyncOnly(SyncOnly):
    pass

class NotUsed:
    def __init__(self, get_response):
        raise MiddlewareNotUsed

class Deep:
    """Keeps what is inside of it in a wrapper."""
    def __init__(self, get_response):
        self.parts = {"inside": [lambda request: get_response(request)]}
    def __call__(self, request):
        return self.parts["inside"][0](request)

@async_only_middleware
def async_only(get_response):
    async def middleware(request):
        return await get_response(request)
    return middleware

@async_only_middleware
def gathers(get_response):
    async def middleware(request):
        await asyncio.gather(sync_to_async(len)("a"), sync_to_async(len)("b"))
        return await get_response(request)
    return middleware

@sync_and_async_middleware
def both(get_response):
    if asyncio.iscoroutinefunction(get_response):
        async def middleware(request):
            return await get_response(request)
    else:
        def middleware(request):
            return get_response(request)
    return middleware

@sync_only_middleware
def function(get_response):
    def middleware(request):
        return get_response(request)
    return middleware

urlpatterns = [path("", hello), path("sync", hello_sync), path("gather", lambda request: None)]
def calls_back(request):
    async def asks():
        await sync_to_async(len)("a")
    async_to_sync(asks)()
    return HttpResponse("called back")

@sync_only_middleware
def answers_itself(get_response):
    return lambda request: StreamingHttpResponse(iter([b"file"]))

from django.template.response import SimpleTemplateResponse

class Rendered:
    def render(self, context, request):
        return "rendered"

def template(request):
    return SimpleTemplateResponse(Rendered())

async def gather(request):
    await asyncio.gather(sync_to_async(len)("a"), sync_to_async(len)("b"))
    return HttpResponse("gathered")
urlpatterns[2:] = [path("gather", gather), path("calls_back", calls_back), path("template", template)]
'''


def trace_with(folder: Path, *middleware: str, path: str = "/", app: str = "somebody:application") -> Trace:
    paths = [f'"somebody.{name}"' if name not in ("SECURITY", "COMMON") else name for name in middleware]
    write_project(folder, MIDDLEWARES + f"configure({', '.join(paths)})\n")
    return ask(folder, path, app)


def rows(trace: Trace) -> list[tuple[str, str, int]]:
    """Name, how it runs and hops of each row; a test of them all asks that they sum up."""
    found: list[tuple[str, str, int]]
    found = [(layer.path.rpartition(".")[2], layer.runs, layer.hops) for layer in trace.middleware]
    assert sum(hops for *_, hops in found) + sum(trace.causes.values()) == len(trace.hops)
    return found


def test_a_sync_only_middleware_that_stands_third_has_its_two_hops_and_an_advice(tmp_path: Path) -> None:
    trace = trace_with(tmp_path, "SECURITY", "SyncOnly", "COMMON")
    assert rows(trace) == [
        ("SecurityMiddleware", "sync", 0),
        ("SyncOnly", "sync", 2),
        ("CommonMiddleware", "async", 2),
    ]
    (advice,) = trace.advice
    assert advice.startswith("somebody.SyncOnly is sync-only and around async middlewares")
    assert advice.endswith("comes back (2 hops). Placed innermost, it saves 2 hops.")


def test_the_advice_on_a_sync_only_middleware_is_what_happens_when_it_is_taken(tmp_path: Path) -> None:
    before = trace_with(tmp_path, "SyncOnly", "SECURITY", "COMMON")
    fold, advice = before.advice
    assert fold.startswith("4 hops come from MiddlewareMixin")
    assert advice.endswith("(2 hops). Placed innermost, it saves 4 hops. With an async half, it saves 2 hops.")
    innermost = trace_with(tmp_path, "SECURITY", "COMMON", "SyncOnly")
    with_half = trace_with(tmp_path, "both", "SECURITY", "COMMON")
    assert [len(before.hops) - len(after.hops) for after in (innermost, with_half)] == [4, 2]


def test_hops_of_middlewares_outside_of_a_sync_only_one_are_not_saved_by_its_place(tmp_path: Path) -> None:
    trace = trace_with(tmp_path, "SECURITY", "async_only", "SyncOnly", "COMMON")
    assert [hops for *_, hops in rows(trace)] == [2, 0, 2, 2]
    assert "comes back (2 hops). Placed innermost, it saves 2 hops." in trace.advice[-1]


def test_a_middleware_that_is_not_used_is_said_and_the_others_run_as_they_do(tmp_path: Path) -> None:
    trace = trace_with(tmp_path, "SECURITY", "NotUsed", "COMMON")
    assert rows(trace) == [
        ("SecurityMiddleware", "async", 2),
        ("NotUsed", "not used", 0),
        ("CommonMiddleware", "async", 2),
    ]
    (advice,) = trace.advice
    assert advice.startswith("4 hops come from MiddlewareMixin")


def test_of_two_equal_ones_the_one_that_is_used_is_told_from_the_one_that_is_not(tmp_path: Path) -> None:
    assert [hops for *_, hops in rows(trace_with(tmp_path, "NotUsed", "COMMON", "NotUsed", "COMMON"))] == [0, 2, 0, 2]


def test_a_middleware_under_another_path_or_twice_has_its_own_hops(tmp_path: Path) -> None:
    trace = trace_with(tmp_path, "ReExported", "COMMON", "SECURITY", "COMMON")
    assert [hops for *_, hops in rows(trace)] == [1, 2, 2, 2]
    assert trace.advice[0].startswith("7 hops come from MiddlewareMixin")


def test_a_function_listed_twice_is_two_middlewares(tmp_path: Path) -> None:
    trace = trace_with(tmp_path, "function", "async_only", "function", "async_only")
    assert [hops for *_, hops in rows(trace)] == [2, 0, 2, 0]
    assert len(trace.advice) == 2


def test_two_sync_only_ones_with_async_between_them_have_two_hops_each(tmp_path: Path) -> None:
    trace = trace_with(tmp_path, "SyncOnly", "async_only", "AnotherSyncOnly", "COMMON")
    assert [hops for *_, hops in rows(trace)][:3] == [2, 0, 2]
    assert [sentence.split()[0] for sentence in trace.advice] == ["somebody.SyncOnly", "somebody.AnotherSyncOnly"]


def test_two_sync_only_ones_in_one_stretch_share_its_way_there_and_back(tmp_path: Path) -> None:
    trace = trace_with(tmp_path, "SyncOnly", "SECURITY", "AnotherSyncOnly", "COMMON")
    assert [hops for *_, hops in rows(trace)] == [1, 0, 1, 2]
    assert trace.advice[0].startswith("somebody.SyncOnly and somebody.AnotherSyncOnly are sync-only")


def test_hops_that_a_middleware_makes_itself_are_its_own(tmp_path: Path) -> None:
    assert rows(trace_with(tmp_path, "gathers")) == [("gathers", "async", 2)]


def test_hops_of_tasks_that_the_view_makes_are_the_views(tmp_path: Path) -> None:
    trace = trace_with(tmp_path, "COMMON", path="/gather")
    assert rows(trace) == [("CommonMiddleware", "async", 2)]
    assert trace.causes == {VIEW: 2, DJANGO: 2}


def test_hops_of_a_view_are_its_own_also_where_its_thread_waits_in_a_middleware(tmp_path: Path) -> None:
    trace = trace_with(tmp_path, "SyncOnly", path="/calls_back")
    assert rows(trace) == [("SyncOnly", "sync", 2)]
    assert trace.causes == {VIEW: 3, DJANGO: 2}


def test_what_django_answers_to_an_unknown_url_is_not_the_views(tmp_path: Path) -> None:
    trace = trace_with(tmp_path, "COMMON", path="/nowhere")
    assert trace.status == 404
    assert (rows(trace), trace.causes[VIEW]) == ([("CommonMiddleware", "async", 2)], 0)


def test_a_middleware_that_answers_itself_does_not_come_back(tmp_path: Path) -> None:
    trace = trace_with(tmp_path, "answers_itself", "COMMON")
    assert (rows(trace)[0][2], trace.causes[VIEW]) == (1, 0)
    assert trace.advice == []


def test_what_is_inside_of_a_middleware_that_wraps_it_is_found(tmp_path: Path) -> None:
    trace = trace_with(tmp_path, "Deep", "COMMON")
    assert rows(trace) == [("Deep", "sync", 2), ("CommonMiddleware", "async", 2)]


def test_a_sync_only_middleware_innermost_is_not_advised_against(tmp_path: Path) -> None:
    trace = trace_with(tmp_path, "SECURITY", "COMMON", "SyncOnly")
    assert rows(trace)[-1] == ("SyncOnly", "sync", 2)
    assert trace.advice == []


def test_behind_wsgi_an_async_only_middleware_causes_the_crossings(tmp_path: Path) -> None:
    trace = trace_with(tmp_path, "SECURITY", "async_only", path="/sync", app="somebody:wsgi")
    assert rows(trace) == [("SecurityMiddleware", "async", 2), ("async_only", "async", 2)]


@pytest.mark.parametrize("middleware", [("SECURITY", "COMMON"), ()])
def test_the_advice_for_a_sync_view_counts_its_own_way_and_says_that_the_thread_is_held(
    tmp_path: Path, middleware: tuple[str, ...]
) -> None:
    trace = trace_with(tmp_path, *middleware, path="/sync")
    assert trace.causes[VIEW] == 1
    folds = [sentence for sentence in trace.advice if "MiddlewareMixin" in sentence]
    assert len(folds) == bool(middleware)
    assert all("and 1 from the sync view" in fold and "held while the view waits" in fold for fold in folds)


def test_taking_the_advice_for_a_sync_view_has_the_hops_that_it_says(tmp_path: Path) -> None:
    taken = trace_with(tmp_path, "SECURITY", "COMMON", "SyncOnly", path="/sync")
    assert taken.hop_counts == {"sync_to_async": 2 + 1 + 1, "async_to_sync": 1}


def test_a_project_without_async_code_is_told_that_wsgi_makes_no_hop(tmp_path: Path) -> None:
    project = MIDDLEWARES + "configure(SECURITY, COMMON)\nurlpatterns = [path('', hello_sync), path('t', template)]\n"
    write_project(tmp_path, project)
    for where in ("/", "/t"):
        assert ask(tmp_path, where).advice[0].endswith("behind WSGI this request makes no hop.")
        assert ask(tmp_path, where, "somebody:wsgi").hops == []
    mixed = trace_with(tmp_path, "COMMON", path="/sync")
    assert not any("behind WSGI" in sentence for sentence in mixed.advice)
