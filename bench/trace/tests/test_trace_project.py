"""Somebody's project as it is: asked as often as is said, in its own interpreter, and told why an answer is odd."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from bench.base.errors import LabError, NotRun, UsageError
from bench.trace.inside import bootstrap
from bench.trace.interpreter import Interpreter, choose_interpreter
from bench.trace.tests.test_trace import lab
from bench.trace.tests.traced_project import ask, notes, write_application, write_project

INSIDE = Path(bootstrap.__file__).parent
COUNTING = """
configure()

def counts(request):
    is_first = "made" not in (Path("notes").read_text() if Path("notes").exists() else "")
    note("made")
    return HttpResponse(status=201 if is_first else 409)

urlpatterns = [path("", counts)]
"""


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "post"])
def test_a_method_that_changes_something_is_asked_once(tmp_path: Path, method: str) -> None:
    write_project(tmp_path, COUNTING)
    trace = ask(tmp_path, method=method.upper())
    assert notes(tmp_path) == ["made"]
    assert (trace.status, trace.warm_up) == (201, 0)


@pytest.mark.parametrize(("warm_up", "asked"), [(True, 2), (False, 1)])
@pytest.mark.parametrize("app", ["somebody:application", "somebody:wsgi"])
def test_a_safe_one_is_asked_once_before_unless_that_is_left_out(
    tmp_path: Path, app: str, warm_up: bool, asked: int
) -> None:
    write_project(tmp_path, COUNTING)
    trace = ask(tmp_path, app=app, warm_up=warm_up)
    assert len(notes(tmp_path)) == asked
    assert trace.warm_up == asked - 1


def test_a_request_whose_client_leaves_is_asked_once(tmp_path: Path) -> None:
    write_project(tmp_path, COUNTING)
    ask(tmp_path, leave_after_s=5.0)
    assert len(notes(tmp_path)) == 1


@pytest.mark.parametrize(
    ("words", "said", "asked"),
    [
        ((), "Asked once before, untraced (--no-warm-up leaves that out).", 2),
        (("--no-warm-up",), "Asked once, without a warm-up.", 1),
        (("--method", "post"), "Asked once, without a warm-up.", 1),
    ],
)
def test_the_output_and_the_help_say_how_often_it_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str, asked: int
) -> None:
    write_project(tmp_path, COUNTING)
    monkeypatch.chdir(tmp_path)
    assert said in " ".join(lab("--app", "somebody:application", *words).stdout.split())
    assert len(notes(tmp_path)) == asked
    assert "--no-warm-up" in lab("--help").stdout


@pytest.fixture(scope="module")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An interpreter of a project: it has Django and what that needs, and nothing else."""
    folder = tmp_path_factory.mktemp("project") / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    (packages,) = folder.glob("lib/python*/site-packages")
    for name in ("django", "asgiref", "sqlparse"):
        (packages / name).symlink_to(Path(import_module(name).__path__[0]))
    yield folder / "bin" / "python"
    shutil.rmtree(folder)


def test_a_project_runs_in_its_own_interpreter_with_nothing_of_ours(tmp_path: Path, other_python: Path) -> None:
    write_project(
        tmp_path,
        """
        configure()
        async def loaded(request):
            ours = {"bench", "labs", "msgspec", "psutil", "rich", "psycopg", "matplotlib"}
            note(" ".join(ours & {name.partition(".")[0] for name in sys.modules}) or "nothing")
            note(sys.prefix)
            return HttpResponse("fine")
        urlpatterns = [path("", loaded)]
        """,
    )
    trace = ask(tmp_path, interpreter=Interpreter(str(other_python), ""), warm_up=False)
    assert notes(tmp_path) == ["nothing", str(other_python.parents[1])]
    assert trace.interpreter == str(other_python)
    assert trace.hop_counts == {"sync_to_async": 2, "async_to_sync": 0}


def test_what_runs_inside_needs_the_standard_library_and_python_3_10() -> None:
    allowed = {*sys.stdlib_module_names, "asgiref", "django"}
    for file in INSIDE.glob("*.py"):
        tree = ast.parse(file.read_text(), feature_version=bootstrap.OLDEST)
        names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert {node.level for node in froms} <= {0, 1}, file.name
        names += [node.module for node in froms if node.module and not node.level]
        assert {name.partition(".")[0] for name in names} <= allowed, file.name


def test_the_projects_own_venv_comes_first_then_the_active_environment_then_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(variable, raising=False)
    assert choose_interpreter(None, tmp_path).program == sys.executable
    (tmp_path / "manage" / ".git").mkdir(parents=True)
    active = tmp_path / "active"
    _pretend_python(active)
    monkeypatch.setenv("VIRTUAL_ENV", str(active))
    assert choose_interpreter(None, tmp_path) == Interpreter(str(active / "bin" / "python"), "the active environment")
    _pretend_python(tmp_path / ".venv")
    assert choose_interpreter(None, tmp_path) == Interpreter(
        str(tmp_path / ".venv" / "bin" / "python"), "the project's .venv"
    )
    assert choose_interpreter(None, tmp_path / "manage").whose == "the active environment"
    _pretend_python(tmp_path / "manage" / "venv")
    site = tmp_path / "manage" / "site"
    site.mkdir()
    assert choose_interpreter(None, site).program == str(tmp_path / "manage" / "venv" / "bin" / "python")
    assert choose_interpreter("active/bin/python", tmp_path).program == str(tmp_path / "active/bin/python")
    assert choose_interpreter("python3", tmp_path).program == shutil.which("python3")


def _pretend_python(folder: Path) -> None:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)


@pytest.mark.parametrize("named", ["no/such/python", "no-such-python", "."])
def test_a_python_that_is_not_there_is_a_sentence(tmp_path: Path, named: str) -> None:
    with pytest.raises(UsageError, match=r"There is no Python program at .*: name one with --python"):
        choose_interpreter(named, tmp_path)


def test_an_interpreter_that_is_too_old_is_a_sentence(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text(
        f'#!/bin/sh\necho "{bootstrap.TOO_OLD}$0 is Python 3.6, the tracer needs 3.10 or newer" >&2\nexit 1\n'
    )
    old.chmod(0o755)
    write_project(tmp_path, "configure()\nurlpatterns = []\n")
    with pytest.raises(NotRun, match=r"old is Python 3\.6, the tracer needs 3\.10 or newer: name another"):
        ask(tmp_path, interpreter=Interpreter(str(old), ""))


def test_which_interpreter_is_said_also_where_a_package_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(tmp_path, "configure()\nurlpatterns = [path('', hello)]\n")
    write_application(tmp_path, "import no_such_package\n", "lacks.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    fine, lacks = lab("--app", "somebody:application"), lab("--app", "lacks:application")
    assert f"in {sys.executable} (the lab's, because no environment of the project was found)" in " ".join(
        fine.stderr.split()
    )
    assert lacks.returncode == 2
    assert (
        f"cannot be imported by {sys.executable} (ModuleNotFoundError: No module named 'no_such_package')"
        in lacks.stderr
    )
    assert "--python" in lacks.stderr


def test_a_users_package_may_have_the_name_of_ours(tmp_path: Path) -> None:
    for name in ("bench", "labs", "trace"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
        write_project(tmp_path / name, "configure()\nurlpatterns = [path('', hello)]\n", "asgi.py")
        assert ask(tmp_path, app=f"{name}.asgi:application").status == 200


def test_a_project_does_not_find_packages_of_the_lab(tmp_path: Path) -> None:
    write_application(tmp_path, "from labs.async_asgi.asgi import application\n")
    with pytest.raises(LabError, match="No module named 'labs'"):
        ask(tmp_path)


ODD = """
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponseRedirect
from django.views.decorators.http import require_POST

configure("django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware", ALLOWED_HOSTS=["example.com"], LOGIN_URL="/login/")

def page(request):
    return HttpResponseRedirect("/login/?next=/page")

async def deep(request):
    return await deeper()

async def deeper():
    raise LookupError("on purpose")

def denied(request):
    raise PermissionDenied("not you")

def missing(request):
    raise Http404("not there")

def teapot(request):
    return HttpResponse("short and stout", status=418)

def admin(request):
    return HttpResponseRedirect("/enter?next=/admin/")

def swallows(request):
    print("what it logged", flush=True)
    return HttpResponse("<h1>Oh</h1>", status=503)

urlpatterns = [path("", hello), path("folder/", hello), path("form", hello), path("deep", deep), path("page", page),
    path("denied", denied), path("missing", missing), path("teapot", teapot), path("post", require_POST(hello_sync)),
    path("admin/", admin), path("swallows", swallows)]
"""
HOST = ("Host", "example.com")
SENTENCES = [
    ("/", {"headers": []}, 400, r"400 Bad Request: DisallowedHost, .* Ask with --header 'Host: example\.com'\."),
    ("/folder", {}, 301, r"301 Moved Permanently: it leads to /folder/\. Ask for that\."),
    ("/page", {}, 302, r"302 Found: it leads to the login at /login/\?next=/page\. .*'Cookie: sessionid=…'\."),
    (
        "/form",
        {"method": "POST"},
        403,
        r"403 Forbidden: CSRF cookie not set\. Ask with --header 'Cookie: csrftoken=a+'",
    ),
    ("/denied", {}, 403, r"403 Forbidden: PermissionDenied: not you, somebody\.py:\d+ denied\."),
    ("/missing", {}, 404, r"404 Not Found: Http404: not there, somebody\.py:\d+ missing\."),
    ("/nowhere", {}, 404, r"404 Not Found: no URL of the project matches /nowhere\."),
    ("/admin/", {}, 302, r"302 Found: it leads to the login at /enter\?next=/admin/\. "),
    ("/post", {}, 405, r"405 Method Not Allowed: this URL takes POST\. Name one with --method\."),
    ("/teapot", {}, 418, r"418 .*: no exception reached Django\. .* made this answer: short and stout\."),
]


@pytest.mark.parametrize(("path", "more", "status", "sentence"), SENTENCES, ids=[path for path, *_ in SENTENCES])
@pytest.mark.parametrize("app", ["somebody:application", "somebody:wsgi"])
def test_an_odd_answer_has_its_cause_and_its_cure_and_no_advice(
    tmp_path: Path, app: str, path: str, more: dict[str, Any], status: int, sentence: str
) -> None:
    write_project(tmp_path, ODD)
    trace = ask(tmp_path, path, app, **{"headers": [HOST], **more})
    assert trace.status == status
    assert trace.problem
    assert re.match(sentence, trace.problem), trace.problem
    assert trace.advice == []


@pytest.mark.parametrize("app", ["somebody:application", "somebody:wsgi"])
def test_of_an_error_that_a_framework_swallows_the_log_is_told(tmp_path: Path, app: str) -> None:
    write_project(tmp_path, ODD)
    problem = ask(tmp_path, "/swallows", app, headers=[HOST]).problem
    assert problem
    assert problem.startswith("503 Service Unavailable: no exception reached Django")
    assert problem.endswith("made this answer. The end of what it printed:\nwhat it logged\nwhat it logged")


def test_the_cures_cure(tmp_path: Path) -> None:
    write_project(tmp_path, ODD)
    assert ask(tmp_path, headers=[("host", "wrong.org"), HOST]).status == 200
    token = [("Cookie", f"csrftoken={'a' * 32}"), ("X-CSRFToken", "a" * 32)]
    assert ask(tmp_path, "/form", method="POST", headers=[HOST, *token]).status == 200
    write_project(tmp_path, "configure(SECURITY, SECURE_SSL_REDIRECT=True)\nurlpatterns = [path('', hello)]\n")
    for app in ("somebody:application", "somebody:wsgi"):
        assert ask(tmp_path, app=app).problem == (
            "301 Moved Permanently: the project wants https. Ask with --header 'X-Forwarded-Proto: https'."
        )
        assert ask(tmp_path, app=app, headers=[("X-Forwarded-Proto", "https")]).status == 200


def test_an_odd_answer_stands_in_the_first_line_of_the_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path, ODD)
    monkeypatch.chdir(tmp_path)
    done = lab("--app", "somebody:application", "/")
    summary = done.stdout.split("\n\n")[-1].splitlines()
    assert summary[0].startswith("400 Bad Request: DisallowedHost")
    assert done.returncode == 0


@pytest.mark.parametrize("app", ["somebody:application", "somebody:wsgi"])
def test_an_exception_is_told_with_the_way_to_it_from_the_view(tmp_path: Path, app: str) -> None:
    write_project(tmp_path, ODD)
    trace = ask(tmp_path, "/deep", app, headers=[HOST])
    assert trace.error == "LookupError: on purpose"
    assert [place.split()[-1] for place in trace.error_at] == ["deep", "deeper"]
    assert {place.split(":")[0] for place in trace.error_at} == {"somebody.py"}


def test_an_orm_call_on_the_loop_is_told_with_its_place(tmp_path: Path) -> None:
    write_project(
        tmp_path,
        """
        configure(INSTALLED_APPS=["django.contrib.contenttypes"],
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
        def count():
            from django.contrib.contenttypes.models import ContentType
            return ContentType.objects.count()
        async def where(request):
            return HttpResponse(count())
        urlpatterns = [path("", where)]
        """,
    )
    trace = ask(tmp_path)
    assert trace.error
    assert trace.error.startswith("SynchronousOnlyOperation")
    assert [place.split()[-1] for place in trace.error_at] == ["where", "count"]


def test_single_orm_calls_are_advised_to_be_one_whatever_their_name(tmp_path: Path) -> None:
    write_project(
        tmp_path,
        """
        configure(INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(Path("db").absolute())}})
        import django
        django.setup()
        from django.core.management import call_command
        call_command("migrate", verbosity=0)
        async def saves(request):
            from django.contrib.auth.models import Group
            group = Group(name="g")
            await group.asave()
            await group.arefresh_from_db()
            await group.adelete()
            return HttpResponse("fine")
        urlpatterns = [path("", saves)]
        """,
    )
    assert [sentence for sentence in ask(tmp_path).advice if sentence.startswith("3 hops are single ORM calls")]


def test_the_environment_of_the_user_reaches_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path, "configure()\nnote(os.environ['LAB_OF_THE_USER'])\nurlpatterns = [path('', hello)]\n")
    monkeypatch.setenv("LAB_OF_THE_USER", "here")
    assert ask(tmp_path).status == 200
    assert notes(tmp_path) == ["here"]
    assert "LAB_OF_THE_USER" in os.environ
