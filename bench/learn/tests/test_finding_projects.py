"""What names a project, which databases may be copied, and which machine an address is on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.base.errors import UsageError
from bench.base.options import cookie, size
from bench.cli.try_project import parse_pages
from bench.learn.tests.tried_project import write_project
from bench.learn.your_project.databases import Wanted, require_harmless
from bench.learn.your_project.examine import host_of
from bench.learn.your_project.project import find_project
from bench.trace.inside.overlay.network import is_local


def test_a_folder_with_manage_py_is_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    write_project(tmp_path / "site")
    found = find_project(str(tmp_path))
    assert (found.root, found.settings) == (tmp_path / "site", "mysite.settings")
    assert (found.wsgi, found.asgi) == ("mysite.wsgi:application", "mysite.asgi:application")


def test_settings_and_applications_are_looked_for_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write_project(tmp_path))
    assert find_project("mysite.settings").wsgi == "mysite.wsgi:application"
    found = find_project("mysite.asgi:application")
    assert (found.settings, found.asgi) == ("mysite.settings", "mysite.asgi:application")


def test_settings_of_a_package_around_the_folder_are_imported_from_there(tmp_path: Path) -> None:
    write_project(tmp_path / "mysite")
    (tmp_path / "mysite" / "manage.py").write_text('DJANGO_SETTINGS_MODULE = "mysite.mysite.settings"\n')
    assert find_project(str(tmp_path / "mysite")).root == tmp_path


@pytest.mark.parametrize("target", ["no/such/folder", "a-b", "mysite.wsgi:"])
def test_what_names_no_project_is_a_sentence(target: str) -> None:
    with pytest.raises(UsageError, match="names no project"):
        find_project(target)


def test_several_projects_in_a_folder_are_named(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_project(tmp_path / name)
    with pytest.raises(UsageError, match="several projects"):
        find_project(str(tmp_path))


def database(kind: str, host: str = "", **more: Any) -> dict[str, Any]:
    return {"default": {"kind": kind, "host": host, "engine": f"some.{kind}", "service": False, **more}}


@pytest.mark.parametrize(
    ("facts", "wanted", "why"),
    [
        (database("sqlite"), Wanted(), ""),
        (database("postgresql"), Wanted(), ""),
        (database("postgresql", "127.0.0.1"), Wanted(), ""),
        (database("postgresql", "/run/postgresql"), Wanted(), ""),
        (database("postgresql", "db.example.com"), Wanted(), "not this machine"),
        (database("postgresql", "10.0.0.5"), Wanted(), "not this machine"),
        (database("postgresql", "10.0.0.5"), Wanted(is_empty=True), ""),
        (database("postgresql", "10.0.0.5"), Wanted(is_owned=True), ""),
        (database("postgresql", service=True), Wanted(), "a service file"),
        (database("mysql", "localhost"), Wanted(), "does not copy"),
    ],
)
def test_a_database_is_copied_only_where_that_does_no_harm(facts: dict[str, Any], wanted: Wanted, why: str) -> None:
    if not why:
        require_harmless(facts, wanted)
        return
    with pytest.raises(UsageError, match=f"{why}.*--i-own-this-database"):
        require_harmless(facts, wanted)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *((host, True) for host in ("localhost", "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "", "0.0.0.0")),
        *((host, False) for host in ("example.com", "10.0.0.1", "192.0.2.1", "2001:db8::1", "169.254.169.254")),
    ],
)
def test_which_addresses_are_this_machine_s(host: str, local: bool) -> None:
    assert is_local(host) == local


@pytest.mark.parametrize(
    ("allowed", "host"),
    [([], "localhost"), (["*"], "localhost"), ([".shop.example", "*"], "shop.example"), (["a.example"], "a.example")],
)
def test_the_host_is_one_that_the_project_allows(allowed: list[str], host: str) -> None:
    assert host_of(allowed) == host


def test_pages_are_asked_for_by_methods_that_change_nothing() -> None:
    pages = parse_pages(["/a", "b?c=1", "HEAD /d"], allows_unsafe=False)
    assert [(page.method, page.path) for page in pages] == [("GET", "/a"), ("GET", "/b?c=1"), ("HEAD", "/d")]
    with pytest.raises(UsageError, match="--allow-unsafe-methods"):
        parse_pages(["POST /a"], allows_unsafe=False)
    assert parse_pages(["POST /a"], allows_unsafe=True)[0].name == "POST /a"


def test_sizes_and_cookies_are_read() -> None:
    assert [size(text) for text in ("512M", "2G", "1KiB")] == [512 * 2**20, 2 * 2**30, 1024]
    assert cookie("a=b=c") == ("a", "b=c")
    for read, text in ((size, "2"), (size, "G"), (cookie, "a"), (cookie, "=b")):
        with pytest.raises(Exception, match=f"{text!r} is no"):
            read(text)
