"""The contact form: the same HTML from both twins, through either door, with HTMX and without."""

import json
from functools import cache
from typing import NamedTuple

import pytest

from labs.tests.ask import run_python


class Told(NamedTuple):
    """What a visit was told; `hops` from loop to thread are no part of the answer."""

    hops: int
    status: int
    location: str | None
    body: str

    @property
    def answer(self) -> tuple[object, ...]:
        return self[1:]


@cache
def visits(door: str, middleware: str = "") -> dict[str, Told]:
    done = run_python("-m", "bench.claims.exhibits.contact_visits", door, LAB_MIDDLEWARE=middleware)
    assert (done.returncode, done.stderr) == (0, "")
    return {name: Told(*told) for name, told in json.loads(done.stdout).items()}


DOORS = [
    ("labs.async_asgi.asgi", ""),
    ("labs.sync_asgi.asgi", ""),
    ("labs.async_wsgi.wsgi", ""),
    ("labs.sync_wsgi.wsgi", "startproject"),
    ("labs.async_asgi.asgi", "startproject"),
    ("labs.zero_hop.asgi", "startproject"),
]


@pytest.mark.parametrize(("door", "middleware"), DOORS)
def test_every_lab_gives_the_same_html_as_sync_wsgi(door: str, middleware: str) -> None:
    expected = {name: told.answer for name, told in visits("labs.sync_wsgi.wsgi").items()}
    assert {name: told.answer for name, told in visits(door, middleware).items()} == expected


def test_errors_stand_beside_their_fields_with_status_422_and_input_comes_back_escaped() -> None:
    told = visits("labs.sync_wsgi.wsgi")["errors"]
    assert told.status == 422
    assert 'id="id_email_error"><li>Enter a valid email address.' in told.body
    assert 'id="id_message_error"><li>This field is required.' in told.body
    assert "id_name_error" not in told.body
    assert 'value="&lt;b&gt;Ada&lt;/b&gt;"' in told.body


def test_htmx_gets_the_part_that_changes_and_a_browser_without_it_the_page_around_it() -> None:
    told = visits("labs.sync_wsgi.wsgi")
    for whole, part in (("errors", "errors by HTMX"), ("thanks", "thanks by HTMX")):
        assert told[whole].status == told[part].status
        assert told[whole].body.startswith("<!doctype html>")
        assert told[part].body.strip() in told[whole].body
        assert "<html" not in told[part].body


def test_a_message_that_was_taken_redirects_so_that_reloading_does_not_send_it_again() -> None:
    told = visits("labs.sync_wsgi.wsgi")
    assert [told[name].answer[:2] for name in ("sent", "sent by HTMX")] == [(302, "/contact?sent=yes")] * 2
    assert "Thank you." in told["thanks"].body
    assert "<form" not in told["thanks"].body


def test_a_form_without_its_token_is_refused() -> None:
    assert visits("labs.sync_wsgi.wsgi")["without token"].status == 403


def test_the_async_view_checks_the_form_on_the_loop() -> None:
    hops = {name: told.hops for name, told in visits("labs.async_asgi.asgi").items()}
    assert {hops["page"], hops["sent"]} == {2}  # Django's own two
    assert hops["errors"] == 3  # Django logs an answer of 400 or more in a thread
