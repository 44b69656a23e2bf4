"""`lab try` on projects of ours: what it says of each page, and that it leaves the project as it is."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from bench.base.errors import LabError, NotRun, UsageError
from bench.learn.tests.tried_project import SECRET, write_project
from bench.learn.your_project import load
from bench.learn.your_project.databases import ClusterMaster, Wanted, thrown_away
from bench.learn.your_project.document import document
from bench.learn.your_project.equality import Equality, check_equality
from bench.learn.your_project.examine import EMPTY, Session, Wishes, examine, opening, take_inventory
from bench.learn.your_project.model import Checked, Examination, Page
from bench.learn.your_project.overlay import Overlay
from bench.learn.your_project.project import find_project

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

URLS = """
    import asyncio, logging, socket, uuid
    from django.conf import settings
    from django.contrib.auth.models import Group
    from django.core.cache import cache
    from django.core.files.base import ContentFile
    from django.core.files.storage import default_storage
    from django.core.handlers.asgi import ASGIRequest
    from django.core.mail import send_mail
    from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
    from django.urls import path

    def same(request):
        return HttpResponse("same")

    async def asynchronous(request):
        return HttpResponse("async")

    def nonce(request):
        response = HttpResponse(f"<p>always</p>\\n<script nonce='{uuid.uuid4()}'></script>\\n<p>and this</p>")
        response.set_cookie("visitor", uuid.uuid4().hex)
        return response

    def door(request):
        return HttpResponse(f"<p>first</p>\\n<p>{type(request).__name__}</p>")

    def busy(request):
        return HttpResponse("slow down", status=429)

    def says_busy(request):
        return HttpResponse("Too many requests, try later.")

    def graphql(request):
        return JsonResponse({"data": None, "errors": [{"message": "no such field"}]})

    def login(request):
        return HttpResponseRedirect("/accounts/login/?next=/login")

    def writes(request):
        Group.objects.create(name=uuid.uuid4().hex)
        return HttpResponse(f"{Group.objects.count()} groups")

    def calls(request):
        try:
            socket.create_connection(("192.0.2.1", 80), timeout=5).close()
        except OSError:
            return HttpResponse("nobody answers")
        return HttpResponse("somebody answers")

    async def awaits(request):
        try:
            await asyncio.open_connection("example.invalid", 80)
        except OSError:
            return HttpResponse("nobody answers")
        return HttpResponse("somebody answers")

    def only_sync(request):
        method = asyncio.run(asyncio.sleep(0, request.environ["REQUEST_METHOD"]))
        return HttpResponse(method)

    def debug(request):
        send_mail("subject", "text", "a@example.com", ["b@example.com"])
        return HttpResponse(f"{settings.DEBUG} {settings.SECRET_KEY == settings.LOCAL} {request.get_host()}")

    def who(request):
        return HttpResponse(str(request.user))

    def stores(request):
        cache.set("key", "value")
        logging.getLogger("shop").error("to a file")
        old = default_storage.open("old.txt").read().decode()
        return HttpResponse(default_storage.save("new.txt", ContentFile("new"))[:3] + old)

    VIEWS = (stores, same, asynchronous, nonce, door, busy, says_busy, graphql, login, writes, calls, awaits, only_sync,
             debug, who)
    urlpatterns = [path(view.__name__, view) for view in VIEWS]
"""
MIDDLEWARE = """
    from contextvars import ContextVar

    TENANT = ContextVar("tenant")

    def only_sync(get_response):
        def middleware(request):
            token = TENANT.set("one")
            try:
                return get_response(request)
            finally:
                TENANT.reset(token)
        return middleware
"""
SETTINGS = """
    INSTALLED_APPS += ["meddling"]
    MIDDLEWARE = [
        "mysite.middleware.only_sync",
        "debug_toolbar.middleware.DebugToolbarMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    ALLOWED_HOSTS = [".shop.example", "*"]
    SECURE_SSL_REDIRECT = True
    EMAIL_HOST = "mail.example.com"
    MEDIA_ROOT = BASE_DIR / "media"
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": BASE_DIR / "c"}}
    LOGGING = {
        "version": 1,
        "handlers": {"file": {"class": "logging.FileHandler", "filename": BASE_DIR / "shop.log", "delay": True}},
        "loggers": {"shop": {"handlers": ["file"]}},
    }
    from .local_settings import *
"""
MEDDLING = """
    from django.apps import AppConfig

    class Meddling(AppConfig):
        name = "meddling"

        def ready(self):
            from django.conf import settings
            settings.DEBUG = True
"""
PAGES = (
    *("same", "asynchronous", "nonce", "door", "busy", "says_busy", "graphql", "login", "writes", "calls", "awaits"),
    *("only_sync", "debug", "who", "stores"),
)
WISHES = Wishes(login="ada", headers=(("X-Token", SECRET), ("Cookie", f"theme={SECRET}")))


def files_in(folder: Path) -> dict[str, tuple[int, int]]:
    """All files of a folder, with their sizes and the times at which they were written."""
    return {str(file): (file.stat().st_size, file.stat().st_mtime_ns) for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with many pages, a database and a user in it."""
    folder = write_project(
        tmp_path_factory.mktemp("tried"),
        settings=SETTINGS,
        mysite__urls=URLS,
        mysite__middleware=MIDDLEWARE,
        mysite__local_settings=f'DEBUG = True\nLOCAL = "{SECRET}"\n',
        meddling__apps=MEDDLING,
    )
    (folder / "media").mkdir()
    (folder / "media/old.txt").write_text(" and old")
    with opening(find_project(str(folder)), Wishes()) as session:  # its tables
        overlay = session.overlay.planned(databases={"default": session.copies.masters["default"].changed})
        shutil.copy(overlay.plan.databases["default"]["NAME"], folder / "db.sqlite3")
    with closing(sqlite3.connect(folder / "db.sqlite3")) as database, database:
        database.execute(
            "insert into auth_user (username, password, is_active, is_staff, is_superuser, first_name, last_name,"
            " email, date_joined) values ('ada', '!', 1, 0, 0, '', '', '', '2026-01-01')"
        )
    return folder


@pytest.fixture(scope="module")
def before(folder: Path) -> dict[str, tuple[int, int]]:
    return files_in(folder)


@pytest.fixture(scope="module")
def session(folder: Path, before: Any) -> Iterator[Session]:
    with opening(find_project(str(folder)), WISHES) as session:
        yield session


@pytest.fixture(scope="module")
def equality(session: Session) -> Equality:
    return check_equality(session.overlay, session.copies, [Page(f"/{name}") for name in PAGES], session.headers)


@pytest.fixture(scope="module")
def checked(equality: Equality) -> dict[str, Checked]:
    return {one.page.path.strip("/"): one for one in equality.checked}


@pytest.fixture(scope="module")
def inventory(session: Session) -> Examination:
    return take_inventory(Examination(session.overlay.project, []), session, lambda line: None)


@pytest.mark.parametrize(
    "name", ["same", "asynchronous", "nonce", "writes", "calls", "awaits", "debug", "who", "stores"]
)
def test_a_page_that_is_the_same_behind_both_doors_is_measured(checked: dict[str, Checked], name: str) -> None:
    assert checked[name].is_measurable, checked[name]
    assert checked[name].status == 200


def test_what_differs_behind_one_door_is_masked_and_shown_without_a_cookie_s_value(checked: dict[str, Checked]) -> None:
    header, body = checked["nonce"].masked
    assert header.startswith("set-cookie: ⟨visitor=…")
    assert body.startswith("<script nonce='⟨")


def test_what_differs_between_the_doors_is_a_diff_and_not_measured(checked: dict[str, Checked]) -> None:
    assert checked["door"].difference == ["- <p>WSGIRequest</p>", "+ <p>ASGIRequest</p>"]
    assert not checked["door"].is_measurable


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("busy", "429: the project throttles"),
        ("says_busy", "200 that says 'Too many requests'"),
        ("graphql", "200 with GraphQL errors inside: no such field"),
        ("login", "--login USER"),
        ("only_sync", "only behind ASGI: 500 Internal Server Error: AttributeError"),
    ],
)
def test_what_looks_like_an_answer_and_is_no_success_is_not_measured(
    checked: dict[str, Checked], name: str, why: str
) -> None:
    assert why in checked[name].refused
    assert not checked[name].is_measurable


def test_the_view_of_a_page_is_named_with_its_line_and_its_kind(checked: dict[str, Checked]) -> None:
    view = checked["asynchronous"].view
    assert view is not None
    assert (view.name, view.file, view.is_async) == ("mysite.urls.asynchronous", "mysite/urls.py", True)
    assert view.line == line_of(URLS, "async def asynchronous")
    assert checked["same"].view is not None
    assert not checked["same"].view.is_async


def line_of(text: str, words: str) -> int:
    """The number of the line with these words in a file written by `write_project`."""
    return next(number for number, line in enumerate(text.splitlines(), 1) if words in line)


def test_a_get_that_writes_is_found_with_its_line(equality: Equality) -> None:
    (write,) = [write for write in equality.writes if write.page == "/writes"]
    assert write.statement == "INSERT INTO auth_group"
    assert write.place == f"mysite/urls.py:{line_of(URLS, 'Group.objects.create')}"


def test_a_connection_off_this_machine_is_refused_and_counted_with_its_line(equality: Equality) -> None:
    seen = {(refusal.page, refusal.address, refusal.place) for refusal in equality.refusals}
    assert seen == {
        ("/calls", "192.0.2.1", f"mysite/urls.py:{line_of(URLS, 'socket.create_connection')}"),
        ("/awaits", "example.invalid", f"mysite/urls.py:{line_of(URLS, 'asyncio.open_connection')}"),
    }


def test_settings_are_changed_after_their_own_last_line_and_after_applications(
    session: Session, inventory: Examination
) -> None:
    with session.copies.anew() as databases:
        ask = {"door": "wsgi", "pages": [{"path": "/debug", "method": "GET"}], "rounds": 1, "pause_s": 0}
        more = {"page_within_s": 10, "headers": session.all_headers}
        found = session.overlay.planned(databases=databases).run("asking", "main", {**ask, **more})
    assert base64_text(found["answers"][0]["body"]) == "False True shop.example"
    changes = {change.name: change.why for change in inventory.changes}
    assert "an application changed it when it loaded" in changes["DEBUG"]
    assert {"MIDDLEWARE", "SECURE_SSL_REDIRECT", "EMAIL_BACKEND", "DATABASES"} <= set(changes)


def base64_text(text: str) -> str:
    import base64

    return base64.b64decode(text).decode()


def test_a_session_is_made_for_a_user_in_the_copy(session: Session) -> None:
    with session.copies.anew() as databases:
        ask = {"door": "asgi", "pages": [{"path": "/who", "method": "GET"}], "rounds": 1, "pause_s": 0}
        more = {"page_within_s": 10, "headers": session.all_headers}
        found = session.overlay.planned(databases=databases).run("asking", "main", {**ask, **more})
    assert base64_text(found["answers"][0]["body"]) == "ada"


def test_the_inventory_names_what_behaves_differently_behind_asgi(inventory: Examination) -> None:
    seen = {notice.kind: notice for notice in inventory.inventory}
    kinds = {notice.says.partition(" is ")[0]: notice for notice in inventory.inventory if notice.kind == "middleware"}
    assert "sync only" in kinds["mysite.middleware.only_sync"].says
    assert kinds["mysite.middleware.only_sync"].place == f"mysite/middleware.py:{line_of(MIDDLEWARE, 'def only_sync')}"
    assert seen["event loop"].place == f"mysite/urls.py:{line_of(URLS, 'asyncio.run')}"
    assert seen["context variable"].place == f"mysite/middleware.py:{line_of(MIDDLEWARE, 'reset')}"


def test_nothing_of_the_project_has_changed(
    equality: Equality, inventory: Examination, folder: Path, before: dict[str, tuple[int, int]]
) -> None:
    assert files_in(folder) == before


def test_no_secret_is_in_the_document(equality: Equality, inventory: Examination, session: Session) -> None:
    pages = [one.page for one in equality.checked]
    seen = replace(inventory, pages=pages, checked=equality.checked, writes=equality.writes)
    found = replace(seen, refusals=equality.refusals, databases=session.copies.says)
    text = json.dumps(document(found))
    assert '"unequal": ["/door"]' in text
    assert SECRET not in text
    assert session.copies.cookie is not None
    assert session.copies.cookie[1] not in text


def test_settings_that_end_the_process_are_a_sentence(tmp_path: Path) -> None:
    write_project(tmp_path, settings='\nimport sys\nsys.exit("set DATABASE_URL")\n')
    with (
        pytest.raises(LabError, match="it ends its process, which says 'set DATABASE_URL'"),
        opening(find_project(str(tmp_path)), Wishes()),
    ):
        pass


BLOCKS = """
    import time
    from django.http import HttpResponse
    from django.urls import path

    async def blocks(request):
        time.sleep(0.2)
        return HttpResponse("late")

    urlpatterns = [path("", blocks)]
"""


@pytest.mark.slow
def test_a_project_without_tables_gets_them_and_its_page_is_traced_and_what_blocks_in_it_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"WARM_UP_S": 0.5, "WINDOW_S": 1.0, "MOST_RESTARTS": 3}.items():
        monkeypatch.setattr(load, name, value)
    write_project(tmp_path, mysite__urls=BLOCKS)
    wishes = Wishes(blocking_ms=100, load=load.Wanted(users=(4,)))
    found = document(examine(find_project(str(tmp_path)), [Page("/")], wishes))
    (blocked,) = [one for one in found["blocking"] if not one["is_loading"]]
    assert (blocked["place"], blocked["times"]) == (f"mysite/urls.py:{line_of(BLOCKS, 'time.sleep')}", 6)
    assert blocked["ms"] > 150  # of 200: it is seen by looks, and the first and the last one may be missed
    assert found["databases"] == ["default: a new SQLite database, migrated"]
    assert EMPTY.format("default") in found["not_looked_at"]
    assert found["paths"][0]["traces"]["asgi"]["hops"]
    assert not (tmp_path / "db.sqlite3").exists()


def test_a_postgresql_that_is_not_there_becomes_a_throw_away_one(tmp_path: Path) -> None:
    database = {"ENGINE": "django.db.backends.postgresql", "NAME": "shop", "HOST": "/nowhere", "PASSWORD": SECRET}
    write_project(tmp_path, settings=f'DATABASES = {{"default": {database}}}\n')
    with opening(find_project(str(tmp_path)), Wishes(databases=Wanted(is_empty=True))) as session:
        assert session.copies.says == ["default: a throw-away PostgreSQL (an empty one was asked for), migrated"]
        found = check_equality(session.overlay, session.copies, [Page("/")], session.headers)
        assert found.checked[0].is_measurable


def test_a_postgresql_is_copied_by_its_own_server_and_the_copies_are_dropped(tmp_path: Path) -> None:
    """Without the right to make databases, as most roles are, it becomes a throw-away one."""
    with thrown_away("somebody's own") as theirs:
        with theirs.cluster.connect("postgres") as connection:
            connection.execute(sql.SQL("ALTER ROLE {} NOSUPERUSER").format(sql.Identifier(theirs.name)))
        database = {"ENGINE": "django.db.backends.postgresql", **theirs.changed}
        project = find_project(str(write_project(tmp_path, settings=f'DATABASES = {{"default": {database}}}\n')))
        with opening(project, Wishes()) as session:
            assert "permission denied to create database" in session.copies.says[0]
        with theirs.cluster.connect("postgres") as connection:
            connection.execute(sql.SQL("ALTER ROLE {} CREATEDB").format(sql.Identifier(theirs.name)))
        with opening(project, Wishes()) as session, session.copies.anew() as copies:
            assert session.copies.says[0].startswith("default: a copy by its own PostgreSQL, with ")
            assert len(databases_of(theirs)) == 3
            assert copies["default"]["NAME"] in databases_of(theirs)
        assert databases_of(theirs) == {theirs.name}


def databases_of(master: ClusterMaster) -> set[str]:
    """The databases that its role has."""
    owner = "SELECT datname FROM pg_database JOIN pg_roles r ON r.oid = datdba WHERE rolname = %s"
    with master.cluster.connect("postgres") as connection:
        return {name for (name,) in connection.execute(owner, [master.name])}


HANGS = """
    import asyncio
    from django.contrib.auth.models import Group
    from django.http import HttpResponse
    from django.urls import path

    def counts(request):
        return HttpResponse(str(asyncio.run(Group.objects.acount())))

    urlpatterns = [path("", counts), path("after", lambda request: HttpResponse("after"))]
"""


def test_a_page_that_hangs_behind_asgi_is_said_and_the_next_one_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Overlay.run

    def run_briefly(overlay: Overlay, module: str, entry: str, question: dict[str, Any]) -> dict[str, Any]:
        """With little patience only where the page hangs: any other may be slow on a busy machine."""
        hangs = question.get("door") == "asgi" and question["pages"][0]["path"] == "/"
        return run(overlay, module, entry, {**question, "page_within_s": 1.0} if hangs else question)

    write_project(tmp_path, mysite__urls=HANGS)
    with opening(find_project(str(tmp_path)), Wishes()) as session:
        monkeypatch.setattr(Overlay, "run", run_briefly)
        found = check_equality(session.overlay, session.copies, [Page("/"), Page("/after")], session.headers)
    hangs, after = found.checked
    assert hangs.refused.startswith("only behind ASGI: it did not end within")
    assert after.is_measurable


PATHED = """
    import os, sys
    sys.path.append(os.path.join(os.getcwd(), "apps"))
    from django.core.{door} import get_{door}_application
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
    application = get_{door}_application()
"""


def test_an_application_may_extend_the_import_path_and_migrations_may_lack_others(tmp_path: Path) -> None:
    write_project(
        tmp_path,
        settings="""
            INSTALLED_APPS += ["people", "orders"]
            AUTH_USER_MODEL = "people.Person"
        """,
        mysite__wsgi=PATHED.format(door="wsgi"),
        mysite__asgi=PATHED.format(door="asgi"),
        mysite__urls="""
            from django.contrib.auth import get_user_model
            from django.http import HttpResponse
            from django.urls import path
            urlpatterns = [path("", lambda request: HttpResponse(str(get_user_model().objects.count())))]
        """,
        apps__people__models="""
            from django.contrib.auth.models import AbstractUser
            class Person(AbstractUser):
                pass
        """,
        apps__people__migrations___none_is_committed="",
        apps__orders__migrations__0001_initial="""
            from django.db import migrations
            class Migration(migrations.Migration):
                dependencies = [("people", "__first__")]
        """,
    )
    with opening(find_project(str(tmp_path)), Wishes()) as session:
        says = "default: a new SQLite database, with tables as its models are, because its migrations fail"
        assert session.copies.says == [says]
        found = check_equality(session.overlay, session.copies, [Page("/")], session.headers)
    assert found.checked[0].is_measurable, found.checked[0]


def test_a_copy_gets_the_migrations_and_tables_that_it_lacks(tmp_path: Path) -> None:
    write_project(
        tmp_path,
        settings='INSTALLED_APPS += ["shop"]\n',
        shop__models="""
            from django.db import models
            class Bread(models.Model):
                name = models.CharField(max_length=20)
        """,
        mysite__urls="""
            from django.http import HttpResponse
            from django.urls import path
            from shop.models import Bread
            urlpatterns = [path("", lambda request: HttpResponse(str(Bread.objects.count())))]
        """,
    )
    with closing(sqlite3.connect(tmp_path / "db.sqlite3")) as database, database:
        database.execute("create table of_another_branch (id integer)")
    before = files_in(tmp_path)
    with opening(find_project(str(tmp_path)), Wishes()) as session:
        (says,) = session.copies.says
        found = check_equality(session.overlay, session.copies, [Page("/")], session.headers)
    assert says.startswith("default: a copy of db.sqlite3, with ")
    assert says.endswith(" migrations and 1 tables without migrations that it lacked")
    assert found.checked[0].is_measurable, found.checked[0]
    assert files_in(tmp_path) == before


def test_an_application_that_cannot_be_imported_is_named_and_django_s_own_stands_in(tmp_path: Path) -> None:
    write_project(tmp_path, mysite__asgi="import no_such_package\napplication = no_such_package.application\n")
    project = find_project(str(tmp_path))
    assert project.asgi == "mysite.asgi:application"
    with opening(project, Wishes()) as session:
        found = take_inventory(Examination(project, []), session, lambda line: None)
        equality = check_equality(session.overlay, session.copies, [Page("/")], session.headers)
    notice = next(notice for notice in found.inventory if notice.kind == "application")
    assert "No module named 'no_such_package'" in notice.says
    assert notice.says.endswith("Until then Django's own stands in for mysite.asgi:application")
    assert equality.checked[0].is_measurable


def test_a_login_in_a_database_without_users_is_told_how_to_get_some(tmp_path: Path) -> None:
    write_project(tmp_path)
    with pytest.raises(UsageError, match="no user 'ada': it has none at all; --fixtures FILE brings some"):
        examine(find_project(str(tmp_path)), [Page("/")], Wishes(login="ada"))


def test_an_application_of_channels_is_known_by_its_router_although_no_setting_names_it(tmp_path: Path) -> None:
    write_project(
        tmp_path,
        channels__routing="""
            class ProtocolTypeRouter:
                def __init__(self, http):
                    self.http = http
                async def __call__(self, scope, receive, send):
                    await self.http(scope, receive, send)
        """,
        mysite__asgi="""
            from channels.routing import ProtocolTypeRouter
            from django.core.asgi import get_asgi_application
            application = ProtocolTypeRouter(get_asgi_application())
        """,
    )
    project = find_project(str(tmp_path))
    with opening(project, Wishes()) as session:
        found = take_inventory(Examination(project, []), session, lambda line: None)
    places = {notice.kind: notice.place for notice in found.inventory}
    assert places["asgi wrapper"] == "channels/routing.py:2"
    assert "channels" in places


def test_settings_that_no_application_can_be_loaded_with_are_a_project_that_cannot_run(tmp_path: Path) -> None:
    write_project(tmp_path, settings='INSTALLED_APPS += ["no_such_application"]\n')
    with pytest.raises(NotRun, match="No module named 'no_such_application'"):
        examine(find_project(str(tmp_path)), [Page("/")], Wishes())
