"""What a reader of a trace meets first: a sentence, the view on its lane, the project's line, names of signals."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from bench.base.files import ROOT
from bench.show.trace_terminal import show
from bench.trace import reference_traces
from bench.trace.inside.model import Trace, from_json
from bench.trace.tests.traced_project import ask, write_project

PROJECT = """
    configure(SECURITY, COMMON, INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.sqlite3"}})

    async def counts(request):
        from django.contrib.contenttypes.models import ContentType
        await sync_to_async(lambda: None)()
        from django.db.utils import OperationalError
        try:
            await ContentType.objects.acount()
        except OperationalError:  # there is no table, which a hop does not mind
            pass
        return HttpResponse("counted")

    urlpatterns = [path("", hello), path("sync", hello_sync), path("counts", counts)]
"""


def shown(trace: Trace, width: int) -> list[str]:
    out = io.StringIO()
    show(trace, Console(file=out, width=width, color_system=None))
    return out.getvalue().splitlines()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(tmp_path, PROJECT)
    return tmp_path


def test_hops_are_told_in_one_sentence_by_what_they_are_for(project: Path) -> None:
    behind_asgi, behind_wsgi, sync = ask(project), ask(project, app="somebody:wsgi"), ask(project, "/sync")
    assert behind_asgi.summary == "Left the loop for a thread 6 times: 4 for middleware, 2 for Django itself."
    assert behind_wsgi.summary == "Left its thread for an event loop 1 time: 1 for the view."
    assert ask(project, "/sync", app="somebody:wsgi").summary == "Never left its thread."
    assert " for the view" in sync.summary
    assert shown(behind_asgi, 80)[0] == behind_asgi.summary
    assert behind_asgi.to_json()["summary"] == behind_asgi.summary


def test_the_view_is_drawn_on_the_thread_that_runs_it(project: Path) -> None:
    on_loop, in_thread = ask(project), ask(project, "/sync")
    for trace, name, lane in ((on_loop, "hello", 0), (in_thread, "hello_sync", 1)):
        (view,) = trace.views
        assert (view.what, view.lane) == (name, lane)
        assert view.ended_us is not None
        assert 0 < view.began_us <= view.ended_us <= trace.took_us
        (line,) = [line for line in shown(trace, 80) if f"the view: {name}" in line]
        assert line.index("■") == 10 + 15 * lane
    assert from_json(on_loop.to_json()).views == on_loop.views


def test_a_query_names_the_line_of_the_project(project: Path) -> None:
    trace = ask(project, "/counts")
    (query,) = [hop for hop in trace.hops if hop.purpose == "queries"]
    assert query.asked_by.startswith("django/db/")
    assert query.project_at == "somebody.py:34 counts"
    (own,) = [hop for hop in trace.hops if hop.what.endswith("<lambda>")]
    assert own.asked_by.startswith("somebody.py:")
    assert "1 for queries" in trace.summary
    assert not any(hop.project_at for hop in trace.hops if hop.purpose in ("middleware", "Django itself"))
    assert any("somebody.py:34" in line for line in shown(trace, 80))
    assert any("somebody.py:34 counts, through django/db/" in line for line in shown(trace, 200))


def test_kept_traces_name_no_folder_of_the_machine_that_made_them() -> None:
    assert str(ROOT) not in reference_traces.FILE.read_text()
    assert {reference_traces.load_trace(name).interpreter for name in reference_traces.TRACES} == {""}


def test_signals_have_their_names(project: Path) -> None:
    assert {hop.what for hop in ask(project).hops if hop.what.startswith("signal ")} == {"signal request_started"}


@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_line_is_wider_than_the_terminal_and_no_name_is_broken(project: Path, width: int) -> None:
    trace = ask(project)
    lines = shown(trace, width)
    assert max(map(len, lines)) <= width
    assert sum("CommonMiddleware.process_response" in line for line in lines) == 2
